package cluster

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	// hangMax is how long a write may take before a server counts as ill: it lets
	// others lead.
	hangMax = time.Second
	// maxArrived is how many frames wait for the loop; what comes then is lost.
	maxArrived = 4096
	// droppedEvery is how often the log says that frames are dropped.
	droppedEvery = 10 * time.Second
)

// An arrived is a frame from another server.
type arrived struct {
	from  uint64
	frame any
}

// Receive takes a frame that another server sent to this one; it belongs to the node from then
// on. It never waits. A frame that is malformed is dropped: its sender is of another release.
func (n *Node) Receive(from uint64, frame []byte) {
	f, err := decodeFrame(frame)
	if err != nil {
		n.dropped(from, err)
		return
	}
	n.arrive(arrived{from, f})
}

// dropped says that a frame was dropped, unless that was said within droppedEvery: a server of another release sends ten a second.
func (n *Node) dropped(from uint64, err error) {
	now, last := time.Now(), n.said.Load()
	if last != nil && now.Sub(*last) < droppedEvery || !n.said.CompareAndSwap(last, &now) {
		return
	}
	n.opts.Logger.Error("frames of another server are dropped: give all servers the same release", "from", from, "err", err)
}

func (n *Node) arrive(a arrived) {
	l := &n.loop
	l.mail.Lock()
	defer l.mail.Unlock()
	if len(l.mail.arrived) < maxArrived {
		l.mail.arrived = append(l.mail.arrived, a)
	}
	l.wake.Wake()
}

// unreachable stands for a frame: what was sent to a server is lost.
type unreachable struct{}

// Unreachable says that frames which were sent to another server may be lost. It never waits.
func (n *Node) Unreachable(id uint64) { n.arrive(arrived{id, unreachable{}}) }

// ended stands for a frame: the process of a server is no more.
type ended struct{}

// Ended says that the process of another server has ended. If that server led, the voters that are left elect one of
// themselves at once. It never waits. To be wrong costs an election at most: a leader that a majority of the voters hears
// stays.
func (n *Node) Ended(id uint64) { n.arrive(arrived{id, ended{}}) }

// take takes a frame. The loop calls it.
func (n *Node) take(a arrived) {
	l := &n.loop
	switch f := a.frame.(type) {
	case unreachable:
		l.core.Unreachable(a.from)
	case ended:
		n.replaceLeader(a.from)
	case *raftpb.Message:
		if f.GetType() != raftpb.MsgSnap { // that comes by ReceiveSnapshot only
			l.core.Step(f)
		}
	case *commandsFrame:
		if l.leading == 0 || f.term != l.leading {
			return // its sender learns of the new term, and sends again
		}
		answer := n.accept(f)
		n.opts.Send(a.from, Control, answer.encode())
	case *answerFrame:
		n.answered(f)
	case *beatFrame:
		n.heard(f)
	case *reportFrame:
		n.takeReport(a.from, f)
	case removedFrame:
		if n.opts.Removed != nil {
			n.opts.Removed()
		}
	}
}

// send sends messages of Raft to other servers. A leader whose log hangs is quiet, so that others
// elect one of them.
func (n *Node) send(messages []*raftpb.Message) {
	for _, m := range messages {
		if m.GetType() == raftpb.MsgHeartbeat && n.hangs() {
			continue
		}
		if m.GetType() == raftpb.MsgSnap {
			n.ship(m)
			continue
		}
		frame, err := proto.MarshalOptions{}.MarshalAppend([]byte{frameRaft}, m)
		if err != nil {
			n.opts.Logger.Error("a message cannot be encoded", "to", m.GetTo(), "err", err)
			continue
		}
		class := Control
		if len(m.Entries) > 0 {
			class = Bulk
		}
		n.opts.Send(m.GetTo(), class, frame)
	}
}

// hangs reports whether a write takes too long.
func (n *Node) hangs() bool {
	l := &n.loop
	return l.writing > 0 && time.Since(l.since) > hangMax
}

// tickRaft has time pass for Raft.
func (n *Node) tickRaft() {
	ticker := time.NewTicker(n.opts.Tick)
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

// takeTicks passes ticks on, and does what is to be done now and then.
func (n *Node) takeTicks(ticks int) {
	for range ticks {
		if !n.hangs() {
			n.loop.core.Tick()
		}
	}
	if ticks == 0 {
		return
	}
	n.follow()
	n.takeOrder()
	n.repeatReads()
	n.sendBeat()
	n.sendReport()
}
