package core

import (
	"slices"

	"go.etcd.io/raft/v3"
)

// Forget notes that the process of another server has ended. If that leads, as far as this server knows, this server
// forgets it: it keeps no other from being elected any more. It does so once in a term, so that what is said again and
// again, and wrong, changes nothing. The voters that are left should stand for election in turns, by Succeed: rank is the
// place of this server among them, from 0 on, and of how many they are. of is 0 where this server has forgotten nothing,
// or does not vote.
func (c *Core) Forget(id uint64) (rank, of int) {
	defer c.catch()
	s := c.raw.BasicStatus()
	if id == 0 || id == c.store.id || s.Lead != id || s.GetTerm() == c.forgot {
		return 0, 0
	}
	c.forgot = s.GetTerm()
	_ = c.raw.ForgetLeader() // who cannot, does not
	m := c.store.Members()
	left := slices.Concat(m.Voters, m.VotersOutgoing)
	slices.Sort(left)
	left = slices.DeleteFunc(slices.Compact(left), func(x uint64) bool { return x == id })
	rank, ok := slices.BinarySearch(left, c.store.id)
	if !ok {
		return 0, 0
	}
	return rank, len(left)
}

// Succeed has a server stand for election that has forgotten its leader, and has not heard of another since. Those who
// still know the leader do not vote for it: so a leader stays that a majority hears.
func (c *Core) Succeed() {
	defer c.catch()
	if s := c.raw.BasicStatus(); s.GetTerm() == c.forgot && s.Lead == raft.None {
		_ = c.raw.Campaign() // who cannot, does not
	}
}
