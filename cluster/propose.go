package cluster

import (
	"context"

	"keywatch/kv"
)

var (
	_ kv.Log             = (*Node)(nil)
	_ kv.Beginner        = (*Node)(nil)
	_ kv.Prompt          = (*Node)(nil)
	_ kv.BarrierBeginner = (*Node)(nil)
)

// Propose implements kv.Log.
func (n *Node) Propose(ctx context.Context, c *kv.Command) (kv.Result, error) {
	b, place, err := n.add(c)
	if err != nil {
		return kv.Result{}, err
	}
	if ctx.Done() == nil {
		<-b.done
	} else {
		select {
		case <-b.done:
		case <-ctx.Done():
			return kv.Result{}, kv.ErrOutcomeUnknown
		}
	}
	return waiting{b, place}.Result()
}

// Begin implements kv.Beginner.
func (n *Node) Begin(c *kv.Command) (kv.Pending, error) {
	b, place, err := n.add(c)
	if err != nil {
		return nil, err
	}
	return waiting{b, place}, nil
}

// A waiting is a command in a batch.
type waiting struct {
	batch *batch
	place int
}

// Done implements kv.Pending.
func (p waiting) Done() <-chan struct{} { return p.batch.done }

// Result implements kv.Pending.
func (p waiting) Result() (kv.Result, error) {
	if p.batch.err != nil {
		return kv.Result{}, p.batch.err
	}
	if doubts() {
		return kv.Result{}, kv.ErrOutcomeUnknown
	}
	return p.batch.results[p.place], nil
}

// Notify implements kv.Pending.
func (p waiting) Notify(w kv.Waker) { p.batch.notify(w) }

// BoundQueue has so many commands wait for the log from now on; 0 is the default.
func (n *Node) BoundQueue(commands int) {
	n.queue.bound(Options{QueueCommands: commands}.withDefaults().QueueCommands)
}

// add puts c into the queue if the node is ready and the log has room.
func (n *Node) add(c *kv.Command) (*batch, int, error) {
	if err := n.Ready(); err != nil {
		return nil, 0, err
	}
	err := n.knownToAll(c)
	if err == nil {
		err = n.room()
	}
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
