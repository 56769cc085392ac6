package cluster

import "keywatch/kv"

var _ kv.Beginner = (*Node)(nil)

// Begin implements kv.Beginner.
func (n *Node) Begin(c *kv.Command) (kv.Pending, error) {
	b, place, err := n.add(c)
	if err != nil {
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
