package cluster

import (
	"fmt"

	"keywatch/kv"
)

// room returns an error that matches kv.ErrDiskFull while the log has no room. Log
// time stands still from the first call that finds none to the first that finds some.
func (n *Node) room() error {
	if n.opts.Room == nil {
		return nil
	}
	err := n.opts.Room()
	if c := n.clock.Load(); c != nil && c.still != (err != nil) {
		n.turn(c, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", kv.ErrDiskFull, err)
	}
	return nil
}

// turn replaces clock c, unless another call has: by one that stands still, because
// of err, or by one that continues from where it stood.
func (n *Node) turn(c *clock, err error) {
	next := c.beat(instant())
	next.still = err != nil
	if !n.clock.CompareAndSwap(c, next) {
		return
	}
	if err != nil {
		n.opts.Logger.Error("the disk is full: writes are refused and no key or lease ends until there is room", "err", err)
	} else {
		n.opts.Logger.Info("the disk has room again: writes are accepted")
	}
}
