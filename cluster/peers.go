package cluster

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

const (
	// raftTick is the time of a tick of Raft: with core.ElectionTicks a leader is missed after
	// one to two seconds.
	raftTick = 100 * time.Millisecond
	// hangMax is how long a write may take before a server counts as ill: it lets
	// others lead. It is ended after hangEnd.
	hangMax = time.Second
	// maxArrived is how many messages wait for the loop; what comes then is lost.
	maxArrived = 4096
)

// Receive takes a message of another server, which belongs to the node from then on. It never
// waits.
func (n *Node) Receive(m *raftpb.Message) {
	l := &n.loop
	l.mail.Lock()
	defer l.mail.Unlock()
	if len(l.mail.arrived) < maxArrived {
		l.mail.arrived = append(l.mail.arrived, m)
	}
	l.wake.Wake()
}

// send sends messages to other servers. One whose log hangs is quiet as a leader, so that others
// elect one of them.
func (n *Node) send(messages []*raftpb.Message) {
	for _, m := range messages {
		if m.GetType() == raftpb.MsgHeartbeat && n.hangs() {
			continue
		}
		n.opts.Send(m)
	}
}

// hangs reports whether a write takes too long.
func (n *Node) hangs() bool {
	l := &n.loop
	return l.writing > 0 && time.Since(l.since) > hangMax
}

// tickRaft has time pass for Raft.
func (n *Node) tickRaft() {
	ticker := time.NewTicker(raftTick)
	defer ticker.Stop()
	l := &n.loop
	for {
		select {
		case <-ticker.C:
			l.mail.Lock()
			l.mail.ticks = min(2, l.mail.ticks+1) // what a pause left out is not made up for
			l.mail.Unlock()
			l.wake.Wake()
		case <-l.gone:
			return
		}
	}
}

// takeTicks passes ticks on.
func (n *Node) takeTicks(ticks int) {
	for range ticks {
		if !n.hangs() {
			n.loop.core.Tick()
		}
	}
	if ticks > 0 {
		n.repeatReads()
	}
}
