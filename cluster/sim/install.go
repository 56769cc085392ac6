package sim

import "go.etcd.io/raft/v3/raftpb"

// A staged is a snapshot that has arrived as a whole, and how it did.
type staged struct {
	packet
	message *raftpb.Message
}

// stage takes a snapshot that has arrived, unless it is of no use or another is under way. One that is
// behind what is committed is offered at once: only so the sender learns how far this server is.
func (n *Node) stage(p packet, m *raftpb.Message) {
	old := m.GetSnapshot().GetMetadata().GetIndex() <= n.core.Commit()
	if old {
		n.core.Step(m)
		n.ready()
	}
	if old || n.staged != nil || n.installing || m.GetTerm() < n.core.CurrentTerm() {
		n.c.report(p, false)
		return
	}
	n.staged = &staged{p, m}
}

// Offer offers the snapshot that has arrived to the core, and reports whether there was one. Its
// sender learns whether it was accepted.
func (n *Node) Offer() bool {
	if !n.Up() || n.staged == nil {
		return false
	}
	s := n.staged
	n.staged = nil
	index := s.message.GetSnapshot().GetMetadata().GetIndex()
	n.c.did("offer", n.ID, index)
	before := len(n.disk.queue)
	n.core.Step(s.message)
	n.ready()
	for _, q := range n.disk.queue[before:] {
		n.installing = n.installing || q.Snapshot != nil
	}
	n.c.report(s.packet, n.installing)
	return true
}

// drop forgets a snapshot that has arrived: the server is no more.
func (n *Node) drop() {
	if s := n.staged; s != nil {
		n.staged = nil
		n.c.report(s.packet, false)
	}
}

// installed notes that the state of another server is durable. Entries behind it wait until it is
// loaded.
func (n *Node) installed() {
	p := n.disk.checkpoint
	n.c.did("install", n.ID, p.at.Index)
	n.c.Count[Installs]++
	n.loading, n.freezing, n.changed = p, nil, p.at.Index
}

// load begins with the state that was installed.
func (n *Node) load() {
	p := n.loading
	s, err := decode(p.state)
	if err != nil {
		n.c.fail("server %d installs: %w", n.ID, err)
		return
	}
	n.c.did("load", n.ID, p.at.Index)
	n.c.judge.installed(n, s)
	n.state, n.loading, n.installing, n.knows = s, nil, false, max(n.knows, p.at.Index)
	n.answer()
}
