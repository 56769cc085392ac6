package kvtest

import (
	"context"
	"sync"

	"keywatch/kv"
)

// A Direct is a kv.Log that applies each command at once: no queue, no disk.
// Its time moves only by Advance. It is safe for concurrent use.
type Direct struct {
	state *kv.State
	mu    struct {
		sync.Mutex
		index uint64
		now   int64
	}
}

var _ kv.Log = (*Direct)(nil)

// NewDirect returns a log for state, which must not be applied to by anybody
// else, and begins the given epoch.
func NewDirect(state *kv.State, epoch kv.Epoch, params kv.Params) (*Direct, error) {
	d := &Direct{state: state}
	var b kv.EntryBuilder
	b.AddSetup(kv.Setup{Epoch: epoch, Params: params})
	_, err := d.apply(&b)
	return d, err
}

func (d *Direct) apply(b *kv.EntryBuilder) ([]kv.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.index++
	return d.state.Apply(d.mu.index, 1, b.Finish(d.mu.now))
}

// Propose implements kv.Log.
func (d *Direct) Propose(_ context.Context, c *kv.Command) (kv.Result, error) {
	var b kv.EntryBuilder
	b.Add(c)
	results, err := d.apply(&b)
	if err != nil {
		return kv.Result{}, err
	}
	return results[0], nil
}

// ReadBarrier implements kv.Log.
func (d *Direct) ReadBarrier(context.Context) error { return nil }

// Now implements kv.Log.
func (d *Direct) Now() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.now
}

// Advance moves log time by ms milliseconds and expires what is due then.
func (d *Direct) Advance(ms int64) error {
	d.mu.Lock()
	d.mu.now += ms
	d.mu.Unlock()
	_, err := d.apply(new(kv.EntryBuilder))
	return err
}
