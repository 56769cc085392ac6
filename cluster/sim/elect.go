package sim

// Campaign has the server stand for election.
func (n *Node) Campaign() {
	if n.Up() {
		n.c.did("campaign", n.ID, 0)
		n.core.Campaign()
		n.ready()
	}
}

// Notice has the server believe, rightly or not, that the process of its leader has ended. It reports whether the server
// is to stand for election by Succeed.
func (n *Node) Notice() bool {
	if !n.Up() {
		return false
	}
	leader := n.core.Leader()
	_, of := n.core.Forget(leader)
	if of > 0 {
		n.c.did("notice", n.ID, leader)
		n.c.Count[Notices]++
	}
	n.ready()
	return of > 0
}

// Succeed has the server stand for election if it has noticed that its leader has ended and knows no other.
func (n *Node) Succeed() {
	if n.Up() {
		n.c.did("succeed", n.ID, 0)
		n.core.Succeed()
		n.ready()
	}
}

// Transfer has a server that leads hand over to another.
func (n *Node) Transfer(to uint64) {
	if n.Leads() && n.ID != to {
		n.c.did("transfer", n.ID, to)
		n.c.Count[Transfers]++
		n.core.Transfer(to)
		n.ready()
	}
}
