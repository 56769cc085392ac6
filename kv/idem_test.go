package kv_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// idempotent returns a batch of ops that is remembered for caller.
func idempotent(caller string, key int, ops ...kv.Op) *kv.Command {
	return &kv.Command{Ops: ops, Idem: kv.Idem{Caller: caller, Key: fmt.Sprint(key)}}
}

// reads returns a put, and n reads of a key that names a lease and has a deadline.
func reads(n int, key func(i int) string) []kv.Op {
	ops := []kv.Op{kvtest.Put("p", "1")}
	for i := range n {
		ops = append(ops, kv.Op{Kind: kv.OpGet, Key: key(i)})
	}
	return ops
}

// leased puts n keys k0, k1 and so on, each with a deadline and on one lease.
func leased(t *testing.T, store *kv.Store, n int) {
	t.Helper()
	granted, err := store.Grant(t.Context(), "me", time.Hour, kv.Idem{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		op := kvtest.Put(fmt.Sprint("k", i), "v")
		op.TTL, op.Lease = 2*time.Hour, granted.Lease.ID
		if _, err := store.Do(t.Context(), &kv.Command{Ops: []kv.Op{op}}); err != nil {
			t.Fatal(err)
		}
	}
}

// If this failed, idempotency records would take memory that --memory-max does not
// know of, as 28 KiB did for each batch.
func TestIdempotencyRecordsCountWhatTheyTake(t *testing.T) {
	for _, c := range []struct {
		name    string
		ops     []kv.Op
		records int64
		most    int64 // bytes a record
	}{
		{"one put", reads(0, nil), 10_000, 400},
		{"one key a thousand times", reads(1000, func(int) string { return "k0" }), 500, 500},
		{"a thousand keys", reads(1000, func(i int) string { return fmt.Sprint("k", i) }), 500, 13_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, _ := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{})
			leased(t, store, 1000)
			before := heap()
			for i := range c.records {
				if r, err := store.Do(t.Context(), idempotent("me", int(i), c.ops...)); err != nil || r.Outcome != kv.Committed {
					t.Fatal(r.Outcome, err)
				}
			}
			counted, grown := store.State().Memory().Idem, heap()-before
			runtime.KeepAlive(store)
			if counted > c.most*c.records || grown > counted+counted/4+(1<<20) {
				t.Errorf("%d records count as %d bytes, %d each; the heap grew by %d", c.records, counted, counted/c.records, grown)
			}
		})
	}
}

// If this failed, one caller's idempotency records could take all the memory that
// there is for them, and those of all could take more than Params.IdemBytes.
func TestIdempotencyRecordsAreBoundedInBytes(t *testing.T) {
	const most = 64 << 10
	store, log := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{IdemBytes: most, IdemAge: time.Minute})
	fill := func(caller string, want kv.Outcome) {
		t.Helper()
		for i := range most {
			r, err := store.Do(t.Context(), idempotent(caller, i, kvtest.Put("p", "1")))
			if err != nil {
				t.Fatal(err)
			}
			if r.Outcome != kv.Committed {
				if r.Outcome != want {
					t.Errorf("%s after %d records: got outcome %d, want %d", caller, i, r.Outcome, want)
				}
				return
			}
		}
		t.Errorf("%s was never refused", caller)
	}
	fill("a", kv.IdemCallerFull)
	if got := store.State().Memory().Idem; got < most/2 || got > most/2+1024 {
		t.Errorf("one caller's records take %d bytes, want half of %d", got, most)
	}
	fill("b", kv.IdemFull)
	if got := store.State().Memory().Idem; got > most+1024 {
		t.Errorf("all records take %d bytes, want %d at most", got, most)
	}
	if err := log.Advance((2 * time.Minute).Milliseconds()); err != nil {
		t.Fatal(err)
	}
	if r, err := store.Do(t.Context(), idempotent("a", 0, kvtest.Put("p", "2"))); err != nil || r.Outcome != kv.Committed {
		t.Errorf("after all records expired: got outcome %d, %v", r.Outcome, err)
	}
	if got := store.State().Memory().Idem; got > 1024 {
		t.Errorf("one record is left and %d bytes are counted", got)
	}
}
