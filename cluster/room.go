package cluster

import (
	"fmt"
	"time"

	"keywatch/kv"
)

// add puts c into the queue if the node is ready and the log has room.
func (n *Node) add(c *kv.Command) (*batch, int, error) {
	if err := n.Ready(); err != nil {
		return nil, 0, err
	}
	err := n.room()
	if err == nil {
		var b *batch
		var place int
		if b, place, err = n.queue.add(c); err == nil {
			return b, place, nil
		}
	}
	n.stats.refused.Add(1)
	return nil, 0, err
}

// room returns an error that matches kv.ErrDiskFull while the log has no room.
func (n *Node) room() error {
	if n.opts.Room == nil {
		return nil
	}
	err := n.opts.Room()
	switch {
	case err != nil:
		n.halt(err)
		return fmt.Errorf("%w: %w", kv.ErrDiskFull, err)
	case n.halted.Load():
		n.resume()
	}
	return nil
}

// halt makes log time stand still.
func (n *Node) halt(err error) {
	n.halted.Lock()
	defer n.halted.Unlock()
	if n.halted.Load() {
		return
	}
	n.halted.Store(true)
	n.clock.Store(&clock{base: n.Now(), began: time.Now(), still: true})
	n.opts.Logger.Error("the disk is full: writes are refused and no key or lease ends until there is room", "err", err)
}

// resume lets log time go on from where it stood.
func (n *Node) resume() {
	n.halted.Lock()
	defer n.halted.Unlock()
	if !n.halted.Load() {
		return
	}
	n.clock.Store(&clock{base: n.Now(), began: time.Now()})
	n.halted.Store(false)
	n.opts.Logger.Info("there is room on the disk again: writes are taken")
}
