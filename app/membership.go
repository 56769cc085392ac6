package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/cluster"
	"keywatch/cluster/peer"
	"keywatch/kv"
	"keywatch/persist/disk"
)

// A membership is a server's part in a cluster: who it is, and its connections to the others.
type membership struct {
	config *Config
	access *access
	mesh   *peer.Mesh
	// opened is closed once mesh is set: others may ask before.
	opened chan struct{}
	node   atomic.Pointer[cluster.Node] // nil until it is open
	// removed is set once the server was removed from the cluster; told is closed then.
	removed atomic.Bool
	told    chan struct{}
	once    sync.Once
	// last is what requests were shown; nil if that is not true any more.
	last atomic.Pointer[shown]
	free atomic.Int64 // bytes of the disk, 0 if that is not known
	// migration moves values for other servers.
	migration errand

	noting sync.Mutex // held while mu.me is written to the disk
	mu     struct {
		sync.Mutex
		me     nodeFile
		roster cluster.Roster // the newest that is known
		closed bool
		wait   string // why this server has not joined yet
	}
}

// openMembership finds out who this server is and, if it belongs to no cluster yet, has it join one.
// nil is a server that is alone.
func openMembership(ctx context.Context, c *Config, a *access) (*membership, error) {
	if c.Peers.PeerListen == "" {
		return nil, refuseAlone(c.Data, c.MemoryOnly)
	}
	m := &membership{config: c, access: a, told: make(chan struct{}), opened: make(chan struct{})}
	if err := m.identify(); err != nil {
		return nil, err
	}
	if err := m.connect(); err != nil {
		return nil, err
	}
	if err := m.enter(ctx); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// connect opens the connections.
func (m *membership) connect() error {
	p := &m.config.Peers
	opts, err := p.secrets()
	if err != nil {
		return err
	}
	me := m.me()
	opts.ID = peer.ID(me.ID)
	if me.Cluster != 0 {
		opts.Cluster = me.Cluster.String()
	}
	if opts.Listener = p.peerListener; opts.Listener == nil {
		if opts.Listener, err = net.Listen("tcp", p.PeerListen); err != nil {
			return fmt.Errorf("peer-listen: %w", err)
		}
	}
	opts.StreamRate = int64(p.PeerSnapshotRate)
	opts.Logger = m.config.Logger.With("component", "peer")
	opts.Info, opts.Accept, opts.Answer = m.info, m.accept, m.answer
	opts.Receive = func(from peer.ID, _ peer.Class, body []byte) {
		if n := m.node.Load(); n != nil {
			n.Receive(uint64(from), body)
		}
	}
	opts.ReceiveStream = func(ctx context.Context, from peer.ID, head []byte, r io.Reader) error {
		if n := m.node.Load(); n != nil {
			return n.ReceiveSnapshot(ctx, uint64(from), head, r)
		}
		return kv.ErrStarting
	}
	opts.Unreachable = func(id peer.ID) {
		if n := m.node.Load(); n != nil {
			n.Unreachable(uint64(id))
		}
	}
	opts.Ended = func(id peer.ID) {
		if n := m.node.Load(); n != nil {
			n.Ended(uint64(id))
		}
	}
	if m.mesh, err = peer.Open(opts); err == nil {
		close(m.opened)
	}
	return err
}

// info is what other servers are told in a hello.
func (m *membership) info() []byte {
	b, err := json.Marshal(m.about())
	if err != nil {
		panic(err) // it has only text and numbers
	}
	return b
}

// accept refuses servers of other clusters, and those that were removed.
func (m *membership) accept(h peer.Hello) error {
	me := m.me()
	var about cluster.About
	if err := json.Unmarshal(h.Info, &about); err != nil {
		return fmt.Errorf("what it says about itself is malformed: %w", err)
	}
	if own := me.Cluster.String(); h.Cluster != "" && me.Cluster != 0 && h.Cluster != own {
		return fmt.Errorf("server %s (%v) belongs to cluster %s, and %s (%v) to cluster %s: one of them is told a wrong address, or runs on a restored copy; "+
			"to move it to this cluster start it with an empty data folder and --join", about.Name, h.ID, h.Cluster, me.Name, me.ID, own)
	}
	if own := m.config.Peers.ElectionTimeout.Milliseconds(); about.Election != 0 && about.Election != own {
		m.config.Logger.Warn("servers have different election timeouts: give all the same --election-timeout, or the one with the shorter stands for election while the leader is well",
			"name", about.Name, "id", h.ID, "its_ms", about.Election, "own_ms", own)
	}
	r := m.roster()
	if about.Level > 0 && about.Level < r.Level {
		return fmt.Errorf("server %s (%v) runs release %s, which knows level %d, and the cluster has level %d: start it with a later release",
			about.Name, h.ID, about.Version, about.Level, r.Level)
	}
	if r.WasRemoved(cluster.ServerID(h.ID)) {
		return fmt.Errorf("server %s (%v) was removed from cluster %s: to join again start it with an empty data folder and --join", about.Name, h.ID, me.Cluster)
	}
	return nil
}

// roster returns the newest roster that is known.
func (m *membership) roster() cluster.Roster {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.roster
}

// changed takes a roster: the servers in it may connect, and no others.
func (m *membership) changed(r cluster.Roster) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		return
	}
	for _, old := range m.mu.roster.Members {
		if _, stays := r.Member(old.ID); !stays && old.ID != m.mu.me.ID {
			m.mesh.Remove(peer.ID(old.ID))
		}
	}
	for _, x := range r.Members {
		if x.ID == m.mu.me.ID {
			continue
		}
		if err := m.mesh.Add(peer.ID(x.ID), x.Peer); err != nil {
			m.config.Logger.Error("a member is not connected", "name", x.Name, "id", x.ID, "err", err)
		}
	}
	m.mu.roster = r
	if r.WasRemoved(m.mu.me.ID) {
		m.wasRemoved()
	}
	m.last.Store(nil)
}

// options completes those of the node. The store is open: store is its id.
func (m *membership) options(o *cluster.Options, store disk.StoreID) error {
	p := &m.config.Peers
	err := m.become(func(n *nodeFile) {
		if n.State == blankNode {
			n.State, n.Founder, n.Cluster = memberNode, true, store
		}
	})
	if err != nil {
		return err
	}
	me := m.me()
	if me.Cluster != store {
		return fmt.Errorf("%s holds store %s, and its server %s belongs to cluster %s: the files do not belong together; put back those that do",
			m.config.Data, store, me.Name, me.Cluster)
	}
	m.mesh.SetCluster(me.Cluster.String())
	o.ID, o.Cluster, o.Expect = uint64(me.ID), me.Cluster.String(), me.Expect
	o.Tick = p.ElectionTimeout / 10
	o.Members, o.Joins = membersOf(me)
	if me.Founder {
		self := m.member()
		o.Founder = &self
	}
	o.Send = func(to uint64, class cluster.Class, frame []byte) { m.mesh.Send(peer.ID(to), classes[class], frame) }
	o.Stream = func(ctx context.Context, to uint64, head []byte) (cluster.Stream, error) {
		st, err := m.mesh.Stream(ctx, peer.ID(to), head)
		if err != nil {
			return nil, err
		}
		return st, nil
	}
	o.About, o.Reach, o.Changed, o.Removed = m.about, m.reach, m.changed, m.wasRemoved
	return nil
}

// open opens the node of this server, whose state was loaded.
func (m *membership) open(ctx context.Context, o cluster.Options, store disk.StoreID, state *kv.State) (*cluster.Node, error) {
	if err := m.options(&o, store); err != nil {
		return nil, err
	}
	r, err := cluster.ParseRoster(state.Roster())
	if err != nil {
		return nil, err
	}
	if len(r.Members) == 0 {
		r = m.me().roster()
	}
	if len(r.Members) > 0 {
		m.changed(r)
	}
	if err := m.alone(ctx); err != nil {
		return nil, err
	}
	n, err := cluster.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	m.node.Store(n)
	if n.Voters() == 1 && o.Founder != nil && o.Expect <= 1 {
		m.await(ctx, n)
	}
	return n, nil
}

// soleWait is how long a server that is the only voter may take to lead, which needs no other.
const soleWait = 5 * time.Second

// await waits until the node takes commands, for a moment: it is served from in any case.
func (m *membership) await(ctx context.Context, n *cluster.Node) {
	ctx, cancel := context.WithTimeout(ctx, soleWait)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for n.Ready() != nil && ctx.Err() == nil {
		select {
		case <-poll.C:
		case <-ctx.Done():
		}
	}
}

// reach reports whether a server is connected, and since when that is so.
func (m *membership) reach(id uint64) (reachable bool, since time.Time) {
	return m.mesh.Connected(peer.ID(id))
}

// wasRemoved ends this server's part in the cluster.
func (m *membership) wasRemoved() {
	m.once.Do(func() {
		m.removed.Store(true)
		go func() {
			if err := m.become(func(n *nodeFile) { n.State = removedNode }); err != nil {
				m.config.Logger.Error("the removal of this server cannot be noted", "err", err)
			}
			me := m.me()
			m.config.Logger.Error("this server was removed from the cluster", "name", me.Name, "id", me.ID, "cluster", me.Cluster)
			close(m.told)
		}()
	})
}

// close ends the connections.
func (m *membership) close() error {
	m.mu.Lock()
	m.mu.closed = true
	m.mu.Unlock()
	return m.mesh.Close()
}
