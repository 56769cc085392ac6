package cluster

import "time"

// turns is how often a server stands for election after the process of its leader has ended. Those who have not noticed
// that yet do not vote for it.
const turns = 2

// replaceLeader has the voters that are left elect one of themselves if the leader's process has ended. They take turns, so
// that none takes votes away from another.
func (n *Node) replaceLeader(id uint64) {
	l := &n.loop
	rank, of := l.core.Forget(id)
	if of == 0 {
		return
	}
	n.opts.Logger.Info("the process of the leader has ended: the others elect one of themselves", "leader", ServerID(id), "term", l.core.CurrentTerm())
	for turn := range turns {
		wait := time.Duration(rank+turn*of) * n.opts.Tick / 2
		if wait == 0 {
			n.succeed()
			continue
		}
		time.AfterFunc(wait, func() { l.ask(n.succeed) })
	}
}

// succeed has this server stand for election if there is still no leader after the one whose process has ended. One whose
// disk hangs leaves that to others.
func (n *Node) succeed() {
	if l := &n.loop; l.dead == nil && !n.hangs() {
		l.core.Succeed()
	}
}
