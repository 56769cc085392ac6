package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/watch/watchtest"
)

// A truth is all that writers were told of what they did: every change that
// happened, because each repeats a batch with its Idempotency-Key until it
// hears the outcome.
type truth struct {
	newest atomic.Uint64 // the newest revision that anybody was told
	mu     struct {
		sync.Mutex
		changes []watchtest.Change
	}
}

func (tr *truth) add(changes []watchtest.Change, rev uint64) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.mu.changes = append(tr.mu.changes, changes...)
	tr.newest.Store(max(rev, tr.newest.Load()))
}

func (tr *truth) history() *watchtest.History {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return watchtest.NewHistory(tr.mu.changes)
}

// A teller writes batches to keys of its own.
type teller struct {
	name string
	keys int
	pad  int
	to   Target
	cl   *Client
	tr   *truth
	pace time.Duration
	seed uint64
	rng  *rand.Rand
	n    int
	held map[string]watchtest.Change
}

// run writes until ctx ends; requests end with hard.
func (w *teller) run(ctx, hard context.Context) error {
	for ctx.Err() == nil {
		if err := w.write(hard, w.draw()); err != nil {
			return err
		}
		rest(ctx, w.pace)
	}
	return nil
}

func (w *teller) draw() Batch {
	w.n++
	var b Batch
	for _, k := range w.rng.Perm(w.keys)[:1+w.rng.IntN(4)] {
		key := fmt.Sprintf("%s/%d", w.name, k)
		if w.rng.IntN(4) == 0 {
			b.Ops = append(b.Ops, OpDelete(key))
		} else {
			b.Ops = append(b.Ops, OpPut(key, fmt.Sprintf("%d %s", w.n, strings.Repeat("v", w.pad))))
		}
	}
	return b
}

// write sends b until its outcome is known, and notes it.
func (w *teller) write(ctx context.Context, b Batch) error {
	c := b.Call().With("Idempotency-Key", fmt.Sprintf("%s.%d.%d", w.name, w.n, w.seed))
	a, err := w.cl.Settle(ctx, w.to, c)
	if err != nil {
		return err
	}
	if a.Status != 200 {
		return fmt.Errorf("batch: status %d: %s", a.Status, a.Body)
	}
	var got Batched
	if err := a.Decode(&got); err != nil {
		return err
	}
	return w.note(b, &got)
}

// note works out what b changed.
func (w *teller) note(b Batch, got *Batched) error {
	if len(got.Results) != len(b.Ops) {
		return fmt.Errorf("%d results of %d operations", len(got.Results), len(b.Ops))
	}
	var changes []watchtest.Change
	for i, op := range b.Ops {
		was, res := w.held[op.Key], got.Results[i]
		c := watchtest.Change{Key: op.Key, Rev: kv.Rev(got.Rev), Create: was.Create, Version: was.Version + 1}
		if op.Op == "delete" {
			if c.Deleted = true; res.Deleted != (was.Rev != 0) {
				return fmt.Errorf("%s: deleted is %v of %+v", op.Key, res.Deleted, was)
			}
			if delete(w.held, op.Key); !res.Deleted {
				continue
			}
		} else {
			if c.Value = *op.Value; was.Rev == 0 {
				c.Create = c.Rev
			}
			if uint64(res.Version) != c.Version {
				return fmt.Errorf("%s: version %d after %+v", op.Key, res.Version, was)
			}
			w.held[op.Key] = c
		}
		changes = append(changes, c)
	}
	w.tr.add(changes, got.Rev)
	return nil
}
