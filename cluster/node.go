package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster/core"
	"keywatch/kv"
	"keywatch/kv/wake"
)

// Options configure a Node. Log, Stable, Checkpoints and State are required; the
// zero value of the others is their default.
type Options struct {
	Log         core.Log
	Stable      core.Stable
	Checkpoints Checkpoints
	// State has been loaded from the last of Checkpoints.
	State *kv.State
	// Traces is told what sampled requests have written; nil if none are sampled. It must not wait.
	Traces Traces
	// QuickLog says that a write to Log waits for no disk. It matters with other members.
	QuickLog bool
	// ID is this server's among Members; 0 is that of a server that is alone.
	ID uint64
	// Members are the servers that the store begins with; nil for this one alone. Once a
	// checkpoint names members those count.
	Members *raftpb.ConfState
	// Send sends a frame to another server, whose Receive gets it. It must not wait, and may lose
	// the frame, which belongs to it. It is not needed where the server is alone.
	Send func(to uint64, class Class, frame []byte)
	// Snapshots are checkpoints that servers send each other; nil for a server that neither sends nor
	// takes any. Stream opens a way to another server, whose ReceiveSnapshot gets head and then
	// what is written. ctx ends with the stream.
	Snapshots Snapshots
	Stream    func(ctx context.Context, to uint64, head []byte) (Stream, error)
	// LogKeep bounds the log that is kept, beside what no checkpoint has, for servers that are behind,
	// in bytes; DefaultLogKeep. Short reports whether the disk has no room for that; nil if it always has.
	LogKeep int64
	Short   func() bool
	// Shipments bounds the snapshots that are sent at once; 2.
	Shipments int
	// Limits are the bounds on commands of other servers.
	Limits kv.Limits
	// Tick is the time of a tick of Raft, 100 ms: a leader is missed after ten to twenty. With
	// other members only.
	Tick time.Duration
	// Joins says that the store has no history of its own here, and waits for that of others. Members has
	// none then: they come with a snapshot.
	Joins bool
	// Cluster is the id of the cluster, and Founder this server as the roster of a store is to begin
	// with it; nil where it has one.
	Cluster string
	Founder *Member
	// Level is the newest format that this release knows; the constant Level. LevelOf returns the level that the
	// cluster must have for a command to be logged; by default its method Level. Tests have others.
	Level   int
	LevelOf func(*kv.Command) int
	// Expect is with how many voters the store begins to take commands; 0 for one.
	Expect int
	// About returns what this server says about itself, Reach whether another is connected, and since
	// when. Changed is called with each roster that was applied, Removed when this server was
	// removed. None may wait or call the node.
	About   func() About
	Reach   func(id uint64) (reachable bool, since time.Time)
	Changed func(Roster)
	Removed func()
	// NewEpoch begins a new history, because acknowledged writes may have been
	// lost. A store without history begins one anyway.
	NewEpoch bool
	// Room returns why the log can take no more, nil if it can. While it cannot,
	// commands are refused with kv.ErrDiskFull and log time stands still, because
	// no client could keep a lease alive. It is called for each command; nil is for a
	// log that always has room.
	Room func() error
	// Params are the bounds that the state is to enforce.
	Params kv.Params
	// QueueCommands and QueueBytes bound what waits for the log; 16,384 and 64
	// MiB.
	QueueCommands int
	QueueBytes    int
	// EntryCommands and EntryBytes bound one log entry, unless a single command
	// is larger; 512 and 256 KiB.
	EntryCommands int
	EntryBytes    int
	// Fatal is called, once, when the node cannot go on: an entry could not be written or
	// applied. It should end the process. The default panics.
	Fatal func(error)
	// Logger receives changes of state; nil discards them.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&o.QueueCommands, 16_384)
	set(&o.QueueBytes, 64<<20)
	set(&o.EntryCommands, 512)
	set(&o.EntryBytes, 256<<10)
	set(&o.Shipments, 2)
	set(&o.Level, Newest())
	if o.LevelOf == nil && o.Level > kv.MinLevel {
		o.LevelOf = (*kv.Command).Level
	}
	if o.LogKeep == 0 {
		o.LogKeep = DefaultLogKeep
	}
	if o.Tick == 0 {
		o.Tick = 100 * time.Millisecond
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Node is one server's part in the cluster. It implements kv.Log and is safe
// for concurrent use.
type Node struct {
	opts Options
	// current is what Options.State was, until an install replaces it.
	current atomic.Pointer[kv.State]
	store   *core.Storage
	loop    loop

	// status is nil once the node is ready, else why it is not.
	status atomic.Pointer[error]
	clock  atomic.Pointer[clock]
	// leads is the loop's leading, for others.
	leads  atomic.Uint64
	queue  queue
	ticker ticker
	// committing is when the commit under way began.
	committing since
	// writes are the newest to the log, for traces.
	writes     writes
	reads      reads
	pending    pending
	accepting  accepting
	groups     []kv.Group // of the entry that is applied; used again
	freshness  freshness
	roster     atomic.Pointer[parsed]
	stood      atomic.Pointer[Standings] // what StandingsWithin returned last
	said       atomic.Pointer[time.Time] // when the log said that frames are dropped
	installing atomic.Bool               // there is a loop's install
	receiving  atomic.Int32              // snapshots that are being received
	reports    map[uint64]*report        // of other servers; the loop's
	// changing holds a token; who has taken it may change the members.
	changing chan struct{}
	// checkpointing holds a token; who has taken it may have a checkpoint made.
	checkpointing chan struct{}

	closed atomic.Bool
	stop   chan struct{} // closed by Close
	// life ends with Close, by end.
	life context.Context
	end  context.CancelFunc
	// shipping has an element for each snapshot that is sent.
	shipping chan struct{}
	closing  sync.Once
	running  sync.WaitGroup
	// writing are checkpoints, which Close waits for; none begins once ended is set.
	writing sync.WaitGroup
	ending  sync.Mutex
	ended   bool
	stats   counters
}

// Open starts a node. One that is alone is waited for, at most until ctx ends: it leads then, has
// applied its whole log, and has agreed on epoch and parameters. A store without history begins
// as a cluster of one. A node with other members starts in the background; Ready says when it leads.
func Open(ctx context.Context, opts Options) (*Node, error) {
	n := &Node{opts: opts.withDefaults(), stop: make(chan struct{}), checkpointing: make(chan struct{}, 1)}
	n.current.Store(opts.State)
	n.life, n.end = context.WithCancel(context.Background())
	n.shipping = make(chan struct{}, n.opts.Shipments)
	n.checkpointing <- struct{}{}
	n.changing = make(chan struct{}, 1)
	n.changing <- struct{}{}
	n.queue.init(n.opts)
	n.pending.origin = newOrigin()
	n.reads.id = newOrigin()
	n.ticker.init()
	n.setStatus(kv.ErrStarting)
	if !n.alone() {
		n.setStatus(kv.ErrNoLeader) // until this one leads
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := n.start(); err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	n.running.Go(n.tick)
	if !n.alone() {
		n.running.Go(n.tickRaft)
		n.running.Go(n.tend)
		return n, nil
	}
	if err := n.lead(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// state returns the state that entries are applied to.
func (n *Node) state() *kv.State { return n.current.Load() }

// alone reports whether this server began as the only one of its store.
func (n *Node) alone() bool { return n.opts.Members == nil }

// start starts Raft.
func (n *Node) start() (err error) {
	index, term, kept := n.opts.Checkpoints.Last()
	start := core.Point{Index: index, Term: term}
	members, err := n.opts.membersOf(kept)
	if err != nil {
		return err
	}
	n.store, err = core.OpenStorage(core.StorageOptions{
		ID: n.opts.ID, Members: members, Log: n.opts.Log, Stable: n.opts.Stable, Start: start,
		Joins:    n.opts.Joins && len(kept) == 0,
		Snapshot: n.snapshot, Install: n.swap,
	})
	if err != nil {
		return err
	}
	l := &n.loop
	l.needed = math.MaxUint64 // nothing is known
	l.wake, l.led, l.gone, l.applied = n.queue.wake, make(chan struct{}), make(chan struct{}), start
	l.writer = writer{write: n.storeWrite, written: l.written, wake: wake.New()}
	if l.core, err = core.New(core.Options{Storage: n.store, Logger: n.opts.Logger}); err != nil {
		return err
	}
	if err := n.readRoster(); err != nil {
		return err
	}
	if v := n.store.Members(); len(v.Voters) == 1 && v.Voters[0] == n.store.ID() && len(v.VotersOutgoing) == 0 {
		l.core.Campaign() // no other server could be leader
	}
	n.running.Go(l.writer.run)
	n.running.Go(n.run)
	l.wake.Wake()
	return nil
}

func (n *Node) setStatus(err error) {
	if err == nil {
		n.status.Store(nil)
		return
	}
	n.status.Store(&err)
}

// Ready returns nil while the node takes commands, else why it does not.
func (n *Node) Ready() error {
	if err := n.status.Load(); err != nil {
		return *err
	}
	return nil
}

// lead waits until this node takes commands.
func (n *Node) lead(ctx context.Context) error {
	select {
	case <-n.loop.led:
		return n.Ready() // the log could not be read, written or applied
	case <-ctx.Done():
		return fmt.Errorf("become leader: %w", ctx.Err())
	}
}

// Close stops taking commands, waits for those in flight and for a checkpoint, and ends. It may
// be called twice.
func (n *Node) Close() error {
	n.closing.Do(func() {
		n.Drain()
		n.closed.Store(true)
		close(n.stop)
		n.end()
		n.queue.close() // the loop ends when the queue is empty
		n.running.Wait()
		n.ending.Lock()
		n.ended = true
		n.ending.Unlock()
		n.writing.Wait()
	})
	return nil
}

// Drain makes the node refuse new commands with kv.ErrStopping.
func (n *Node) Drain() { n.setStatus(kv.ErrStopping) }
