package kv

// levels has, for each kind of command that is logged, the level of a cluster from which on it may be: releases of a
// level apply all kinds up to it. A kind that is added gets the next one, and cluster.Level with it, so that a cluster
// logs it only once all members can apply it: one that cannot would end.
var levels = released(map[byte]int{
	commandBatch: 3, commandPrefix: 3, commandLease: 3, commandLock: 3, commandRefer: 3,
	commandSettings: 3, commandBounds: 3, commandRoster: 3, commandExtended: 3, commandPrivate: 3,
	commandSince: 4,
})

// MinLevel is the level of the first release that can be one of a cluster.
const MinLevel = 3

// Level returns the level that a cluster must have for c to be logged.
func (c *Command) Level() int {
	switch {
	case c.Refer != nil:
		return levels[commandRefer]
	case c.Private != nil:
		return levels[commandPrivate]
	}
	return levels[kindOf(c, c.form())]
}
