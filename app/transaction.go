package app

import (
	"context"
	"fmt"
	"slices"

	"keywatch/kv"
)

// A Tx is one attempt of a transaction: it reads the state at one revision and collects writes.
// It belongs to the goroutine that runs it, and ends with the function that it was given to.
type Tx struct {
	ctx    context.Context
	snap   *kv.Snapshot
	checks []kv.Check
	// read has the keys that checks has.
	read map[string]bool
	ops  []kv.Op
}

// Get returns the value of key: what this transaction has written, or else what was there when
// the attempt began; found is false if there is none. It fails as kv.Snapshot.Resolve does.
func (t *Tx) Get(key string) (value string, found bool, err error) {
	if i := t.written(key); i >= 0 {
		op := &t.ops[i]
		return string(op.Value), op.Kind == kv.OpPut, nil
	}
	entry, err := readSnapshot(t.ctx, t.snap, key)
	if err != nil {
		return "", false, err
	}
	t.expect(key, entry)
	if entry == nil {
		return "", false, nil
	}
	return entry.Value(), true, nil
}

// expect has the commit fail if key is not entry any more.
func (t *Tx) expect(key string, entry *kv.Entry) {
	if t.read[key] {
		return
	}
	t.read[key] = true
	var rev uint64
	if entry != nil {
		rev = uint64(entry.Mod)
	}
	t.checks = append(t.checks, kv.Check{Kind: kv.CheckRev, Key: key, N: rev})
}

// Put writes value to key when the transaction commits. The value must not be changed until
// then.
func (t *Tx) Put(key string, value []byte) { t.Write(kv.Op{Kind: kv.OpPut, Key: key, Value: value}) }

// Delete removes key when the transaction commits.
func (t *Tx) Delete(key string) { t.Write(kv.Op{Kind: kv.OpDelete, Key: key}) }

// Write adds a put with a TTL or a lease, or a delete. It takes the place of an earlier write of
// the same key. Another kind of operation has the transaction fail.
func (t *Tx) Write(op kv.Op) {
	if i := t.written(op.Key); i >= 0 {
		t.ops[i] = op
		return
	}
	t.ops = append(t.ops, op)
}

func (t *Tx) written(key string) int {
	return slices.IndexFunc(t.ops, func(op kv.Op) bool { return op.Key == key })
}

// command returns what the transaction commits.
func (t *Tx) command() (*kv.Command, error) {
	for _, op := range t.ops {
		if op.Kind != kv.OpPut && op.Kind != kv.OpDelete {
			return nil, fmt.Errorf("write %q: a transaction puts and deletes only", op.Key)
		}
	}
	return &kv.Command{Checks: t.checks, Ops: t.ops}, nil
}

// An UnappliedError is returned by Update when a write cannot be done for another reason than a
// conflict, such as a lease that has ended.
type UnappliedError struct{ Result kv.Result }

func (e *UnappliedError) Error() string {
	return fmt.Sprintf("the transaction was not applied: %v", e.Result.Outcome)
}

// Update runs do and commits what it has written, in one revision, which it returns; 0 if nothing
// was written. If a key that do has read was changed meanwhile, nothing is written and do runs
// again, until ctx ends: so do must have no other effect than through its Tx. What do reads is
// from one revision, and is what the writes are based on: transactions are serializable. When do
// fails nothing is written, and Update returns its error. Update also fails as kv.Store.Do does,
// with kv.ErrOutcomeUnknown if it may have been applied, and with *UnappliedError.
//
// Reads and writes of a transaction are bounded as a batch is, by MaxBatchOps and MaxBatch.
func (e *Engine) Update(ctx context.Context, do func(*Tx) error) (kv.Rev, error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		rev, conflict, err := e.attempt(ctx, do)
		if err != nil || !conflict {
			return rev, err
		}
	}
}

// attempt runs do once and tries to commit.
func (e *Engine) attempt(ctx context.Context, do func(*Tx) error) (rev kv.Rev, conflict bool, err error) {
	snap, err := e.store.Snapshot(ctx)
	if err != nil {
		return 0, false, err
	}
	tx := &Tx{ctx: ctx, snap: snap, read: make(map[string]bool)}
	err = do(tx)
	snap.Close()
	if err != nil || len(tx.ops) == 0 {
		return 0, false, err
	}
	c, err := tx.command()
	if err != nil {
		return 0, false, err
	}
	r, err := e.store.Do(ctx, c)
	switch {
	case err != nil:
		return 0, false, err
	case r.Outcome == kv.CheckFailed:
		return 0, true, nil
	case r.Outcome != kv.Committed:
		return 0, false, &UnappliedError{r}
	}
	return r.Rev, false, nil
}
