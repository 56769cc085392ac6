package cluster

import "keywatch/kv"

var _ kv.Beginner = (*Node)(nil)

// Begin implements kv.Beginner.
func (n *Node) Begin(c *kv.Command) (kv.Pending, error) {
	if err := n.Ready(); err != nil {
		return nil, err
	}
	b, place, err := n.queue.add(c)
	if err != nil {
		n.stats.refused.Add(1)
		return nil, err
	}
	return pending{b, place}, nil
}

// A pending is a command in a batch.
type pending struct {
	batch *batch
	place int
}

// Done implements kv.Pending.
func (p pending) Done() <-chan struct{} { return p.batch.done }

// Result implements kv.Pending.
func (p pending) Result() (kv.Result, error) {
	if p.batch.err != nil {
		return kv.Result{}, p.batch.err
	}
	return p.batch.results[p.place], nil
}
