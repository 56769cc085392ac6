package cluster

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"keywatch/kv"
)

// Leads returns the term in which this server leads, 0 while it does not.
func (n *Node) Leads() uint64 { return n.leads.Load() }

// follow sees to it that a server that does not lead any more takes no commands, and no
// time passes on it. The loop calls it whenever Raft may have changed its mind.
func (n *Node) follow() {
	l := &n.loop
	if l.leading != 0 && l.leading != l.core.Term() {
		l.leading, l.settling = 0, nil
		n.leads.Store(0)
		n.clock.Store(nil)
		n.committing.end()
	}
	n.recall()
	if !n.alone() && l.install == nil {
		n.seekLeader()
	}
}

// leaderMissed is how long a node with other members takes commands while it knows no leader.
const leaderMissed = 3 * time.Second

// seekLeader has a node take commands while it knows a leader, or knew one a moment ago: then
// they wait.
func (n *Node) seekLeader() {
	l := &n.loop
	switch now := time.Now(); {
	case n.state().Position().Epoch == 0: // the store has not begun
	case l.core.Leader() != 0:
		l.leaderSeen = now
		n.changeStatus(n.formed())
	case now.Sub(l.leaderSeen) > leaderMissed:
		n.changeStatus(kv.ErrNoLeader)
	}
}

// takeLead begins to lead in a term of which this server has applied its own first entry: so it has
// applied all that was acknowledged before. The clock starts, and settings are agreed on.
func (n *Node) takeLead() {
	l := &n.loop
	l.leading, l.differ = l.core.Term(), nil
	n.leads.Store(l.leading)
	n.stats.led.Add(1)
	n.startClock()
	n.beginAccepting()
	if u, ok := n.settings(); ok {
		l.settling = n.queue.addSetup(u)
		return
	}
	n.settled()
}

// settings returns what is to be logged before commands are accepted; ok is false if nothing is. Only
// a server that is alone logs parameters that its flags have changed: with several, those with
// other flags would change them at each election.
func (n *Node) settings() (u kv.Setup, ok bool) {
	u = kv.Setup{Params: n.opts.Params.WithDefaults()}
	if n.state().Position().Epoch == 0 || n.opts.NewEpoch && n.alone() && !n.loop.begun {
		u.Epoch = drawEpoch()
		return u, true
	}
	return u, n.alone() && n.state().Params() != u.Params
}

// settled takes commands from now on.
func (n *Node) settled() {
	l := &n.loop
	l.settling = nil
	n.changeStatus(n.formed())
	n.begin()
}

// formed returns kv.ErrStarting until the store has had as many voters as it begins with.
func (n *Node) formed() error {
	if n.loop.formed = n.loop.formed || len(n.store.Members().Voters) >= n.opts.Expect; n.loop.formed {
		return nil
	}
	return kv.ErrStarting
}

// begin tells who opened the node that it leads, or never will.
func (n *Node) begin() {
	if l := &n.loop; !l.begun {
		l.begun = true
		close(l.led)
	}
}

// changeStatus sets the status of a node that is not stopping.
func (n *Node) changeStatus(err error) {
	var next *error
	if err != nil {
		next = &err
	}
	for {
		old := n.status.Load()
		if old != nil && *old == kv.ErrStopping || n.status.CompareAndSwap(old, next) {
			return
		}
	}
}

// drawEpoch returns a random epoch that is not 0.
func drawEpoch() kv.Epoch {
	for {
		var b [4]byte
		rand.Read(b[:]) // never fails
		if e := kv.Epoch(binary.BigEndian.Uint32(b[:])); e != 0 {
			return e
		}
	}
}
