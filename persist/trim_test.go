package persist_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/persist"
)

// crowd is a number of idempotency records that fill several pages of the checkpoint file and
// that one transaction removes.
const crowd = 300

// crowded returns a rig with a crowd of idempotency records in its checkpoint, all of which have
// expired since.
func crowded(t *testing.T, opts persist.Options) *rig {
	t.Helper()
	opts.TxRecords = 2 * crowd
	r := newRig(t, opts)
	r.params(kv.Params{IdemAge: time.Second})
	for i := range crowd {
		c := put(fmt.Sprint("a/", i), "v", 0)
		c.Idem = kv.Idem{Caller: "caller", Key: fmt.Sprint("k", i)}
		r.do(c)
	}
	r.mustCheckpoint()
	r.time += 5000
	r.do(put("b", "v", 0))
	if n := r.state.Stats().IdemRecords; n != 0 {
		t.Fatalf("%d idempotency records are left, want none", n)
	}
	return r
}

// If this failed, a store whose idempotency records expired all at once would never finish another
// checkpoint: a cursor of bbolt does not return from Last when every leaf of its bucket was emptied
// in the same transaction.
func TestCheckpointAfterAllIdempotencyRecordsExpired(t *testing.T) {
	r := crowded(t, quick())
	r.mustCheckpoint()
	if n := r.db.RawIdem(); n != 0 {
		t.Errorf("%d idempotency records are in the file, want none", n)
	}
	r.do(put("c", "v", 0))
	r.mustCheckpoint()
}

// If this failed, a folder whose last run ended between the commit of such a checkpoint and the
// removal of the records would never start again.
func TestStartWithACrowdOfExpiredIdempotencyRecords(t *testing.T) {
	down := false
	r := crowded(t, persist.Hooked(tight, func(kind string) error {
		if down && kind == "trim" {
			return errors.New("the process ends here")
		}
		return nil
	}, nil))
	down = true
	r.mustCheckpoint()
	if n := r.db.RawIdem(); n != crowd {
		t.Fatalf("%d idempotency records are in the file, want %d", n, crowd)
	}
	want := dump(t, r.state, true)
	down = false
	r.db.Close(false)
	r.open()
	equal(t, "after the start", dump(t, r.state, true), want)
	if n := r.db.RawIdem(); n != 0 {
		t.Errorf("%d idempotency records are in the file after the start, want none", n)
	}
}

// If this failed, records would stay in the file for ever, or go while the header names them.
func TestTrimLeavesWhatTheHeaderNames(t *testing.T) {
	for _, n := range []int{1, 2, 7, crowd} {
		opts := quick()
		opts.TxRecords = 5
		r := newRig(t, opts)
		r.params(kv.Params{IdemAge: time.Second})
		for i := range 2 * n {
			if i == n {
				r.mustCheckpoint()
				r.time += 5000
			}
			c := put("a", "v", 0)
			c.Idem = kv.Idem{Caller: "caller", Key: fmt.Sprint("k", i)}
			r.do(c)
		}
		r.mustCheckpoint()
		if got := r.db.RawIdem(); got != n {
			t.Errorf("%d of %d records expired: %d are left in the file, want %d", n, 2*n, got, n)
		}
	}
}
