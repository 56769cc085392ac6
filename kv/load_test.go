package kv_test

import (
	"errors"
	"testing"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// frozen returns a committed checkpoint of two keys and one idempotency record, and the digest of its state.
func frozen(t *testing.T, opts kv.StateOptions) (meta kv.Meta, records []kv.Record, idem []byte, digest uint64) {
	t.Helper()
	opts.Presize = 64
	store, _ := openDirect(t, opts, kv.Params{})
	do(t, store, kvtest.Put("a", "1"))
	if _, err := store.Do(t.Context(), &kv.Command{
		Ops: []kv.Op{kvtest.Put("b", "2")}, Idem: kv.Idem{Caller: "me", Key: "k"},
	}); err != nil {
		t.Fatal(err)
	}
	c, err := store.State().Freeze()
	if err != nil {
		t.Fatal(err)
	}
	if c.Len() != 2 || c.Bytes() == 0 {
		t.Errorf("checkpoint: got %d keys, %d bytes, want 2 keys", c.Len(), c.Bytes())
	}
	for r := range c.Records() {
		records = append(records, r)
	}
	for _, b := range c.Idem() {
		idem = append(idem, b...)
	}
	c.Commit()
	return c.Meta(), records, idem, store.State().Digest()
}

// A loader must refuse records out of order, records beyond the checkpoint, and
// idempotency records that are missing, surplus or damaged.
func TestLoaderRefusesDamage(t *testing.T) {
	meta, records, idem, _ := frozen(t, kv.StateOptions{})
	load := func(meta kv.Meta) *kv.Loader { return kv.NewState(kv.StateOptions{Presize: 64}).Load(meta) }
	add := func(l *kv.Loader, r kv.Record) error {
		_, _, err := l.Add(r)
		return err
	}
	early := meta
	early.At.Rev--
	l := load(meta)
	for _, c := range []struct {
		name string
		err  error
		fine bool
	}{
		{"the second record", add(l, records[1]), true},
		{"the first record after it", add(l, records[0]), false},
		{"the second again", add(l, records[1]), false},
		{"a record beyond the checkpoint", add(load(early), records[1]), false},
		{"an idempotency record missing", l.Done(), false},
		{"half an idempotency record", l.AddIdem(meta.IdemFirst, idem[:len(idem)/2]), false},
		{"a damaged idempotency record", l.AddIdem(meta.IdemFirst, append([]byte{idem[0] ^ 1}, idem[1:]...)), false},
		{"another one's number", l.AddIdem(meta.IdemFirst+1, idem), false},
		{"the idempotency record", l.AddIdem(meta.IdemFirst, idem), true},
		{"one more", l.AddIdem(meta.IdemNext, idem), false},
		{"the end", l.Done(), true},
	} {
		if c.fine && c.err != nil || !c.fine && !errors.Is(c.err, kv.ErrDamaged) {
			t.Errorf("%s: got %v, want it to be fine: %v", c.name, c.err, c.fine)
		}
	}
}
