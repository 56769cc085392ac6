package kv_test

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
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

// If this failed, records that an older release wrote would be called damaged.
func TestOutcomesOfOlderReleasesAreRead(t *testing.T) {
	lease := strings.Repeat("L", kv.LeaseIDSize)
	old := "\x01" + "\x09\x00\x00\x07\x0a" + // committed, rev 9, at 7-10
		"\x00" + // no current
		"\x02" + // two operations: a put; a get of a leased key
		"\x01\x09\x03\x04\x00" +
		"\x81\x08\x08\x01\x64" + lease
	r, ok := kv.ParseOutcome([]byte(old))
	if !ok || r.Outcome != kv.Committed || r.Rev != 9 || r.At != (kv.Position{Epoch: 7, Rev: 10}) || len(r.Ops) != 2 {
		t.Fatalf("got %+v, %v", r, ok)
	}
	put, get := r.Ops[0].Entry, r.Ops[1].Entry
	if put.Mod != 9 || put.Create != 3 || put.Version != 4 {
		t.Errorf("the put: got %+v", put)
	}
	if get.Mod != 8 || get.Version != 1 || get.Deadline() != 100 || string(lease) != string(leaseBytes(get)) {
		t.Errorf("the get: got %+v", get)
	}
	again, ok := kv.ParseOutcome(kv.AppendOutcome(&r))
	c := &kv.Command{Ops: []kv.Op{kvtest.Put("a", ""), kvtest.Put("b", "")}}
	if want, got := kvtest.ResultOf(c, r), kvtest.ResultOf(c, again); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("written anew: got %+v, %v, want %+v", got, ok, want)
	}
}

func leaseBytes(e *kv.Entry) []byte { id := e.Lease(); return id[:] }
