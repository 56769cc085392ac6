package cluster

import "time"

// A clock tells log time while this node leads: the log time when it began to
// lead plus the monotonic time since.
type clock struct {
	base  int64 // milliseconds
	began time.Time
	still bool // the log has no room: it is base
}

// Now returns the present log time in milliseconds. A node that does not lead
// returns the time of the last entry.
func (n *Node) Now() int64 {
	c := n.clock.Load()
	if c == nil {
		return n.state.Time()
	}
	if c.still {
		return max(n.state.Time(), c.base)
	}
	return max(n.state.Time(), c.base+time.Since(c.began).Milliseconds())
}
