package persist_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/disk"
)

// If this failed, something of the state would not survive a checkpoint: values, numbers,
// deadlines, deletions that are remembered, idempotency records, the floor.
func TestCheckpointRoundTrip(t *testing.T) {
	r := newRig(t, quick())
	r.params(kv.Params{TombstoneMax: 3})
	for i := range 40 {
		r.time += 10
		r.do(put(fmt.Sprintf("k/%d", i%15), strings.Repeat("v", i), time.Duration(i%3)*time.Minute))
	}
	once := put("idem", "1", 0)
	once.Idem = kv.Idem{Caller: "c", Key: "x", Fingerprint: [16]byte{1}}
	r.do(once, put("a", "", 0), put("b", "", 0))
	for i := range 8 {
		r.do(del(fmt.Sprintf("k/%d", i)))
	}
	r.do(del("a"))
	want := dump(t, r.state, true)
	r.mustCheckpoint()
	r.trimLog()
	r.reopen()
	equal(t, "after one checkpoint", dump(t, r.state, true), want)
	if got := r.do(once)[0]; !got.Replayed || got.Outcome != kv.Committed {
		t.Errorf("request with a known idempotency key: got %+v, want a replay", got)
	}
	if !r.db.Clean() {
		t.Error("Clean after Close(true): got false")
	}

	// The same again on top of the first, with the log following the second.
	for i := range 30 {
		r.time += 10
		r.do(put(fmt.Sprintf("k/%d", i%7), fmt.Sprint(i), 0), del(fmt.Sprintf("k/%d", i%15)))
	}
	r.mustCheckpoint()
	r.trimLog()
	r.do(put("after", "1", time.Second))
	want = dump(t, r.state, false)
	r.reopen()
	equal(t, "after two", dump(t, r.state, false), want)
	r.time += 2000
	r.do(del("b"))
	if e, _ := r.state.Get("after"); e != nil {
		t.Error("a deadline from the log did not end the key")
	}
}

// If this failed, a store that never made a checkpoint would not start, or a crash would
// look like an orderly stop.
func TestOpenEmpty(t *testing.T) {
	r := newRig(t, quick())
	if r.db.Clean() {
		t.Error("Clean of a fresh folder: got true")
	}
	if index, _, _ := r.db.Last(); index != 0 {
		t.Errorf("Last of a new store: got %d, want none", index)
	}
	r.do(put("k", "v", 0))
	want := dump(t, r.state, true)
	if err := r.db.Close(false); err != nil {
		t.Fatal(err)
	}
	r.open()
	equal(t, "replayed", dump(t, r.state, true), want)
	if r.db.Clean() {
		t.Error("Clean after Close(false): got true")
	}
}

// If this failed, two processes would write one folder.
func TestSecondOpen(t *testing.T) {
	r := newRig(t, quick())
	_, err := persist.Open(r.dir, r.opts)
	var locked *disk.LockedError
	if !errors.As(err, &locked) || locked.Dir != r.dir {
		t.Fatalf("second Open: got %v, want a LockedError for %s", err, r.dir)
	}
	if err := r.db.Close(true); err != nil {
		t.Fatal(err)
	}
	if err := r.db.Close(true); err != nil {
		t.Fatalf("second Close: %v", err)
	}
	if _, err := r.db.OpenBackup(); !errors.Is(err, persist.ErrClosed) {
		t.Errorf("OpenBackup after Close: got %v, want ErrClosed", err)
	}
	if err := r.db.Compact(t.Context()); !errors.Is(err, persist.ErrClosed) {
		t.Errorf("Compact after Close: got %v, want ErrClosed", err)
	}
	r.open()
}

// If this failed, the log would be read from another entry on than the checkpoint ends with.
func TestLastNamesTheCheckpoint(t *testing.T) {
	r := newRig(t, quick())
	if index, term, _ := r.db.Last(); index != 0 || term != 0 {
		t.Errorf("without a checkpoint: got index %d, term %d, want 0", index, term)
	}
	for i, members := range []string{"", "these three", ""} {
		r.do(put("k", "v", 0))
		cp, err := r.state.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.db.Checkpoint(cp, r.index, 1, []byte(members)); err != nil {
			t.Fatal(err)
		}
		for _, when := range []string{"made", "reopened"} {
			index, term, got := r.db.Last()
			if index != uint64(i+1) || term != 1 || string(got) != members {
				t.Errorf("%s: got index %d, term %d, members %q, want %d, 1 and %q", when, index, term, got, i+1, members)
			}
			// The releases before know versions up to 2, and must refuse what has members.
			if version := r.db.HeaderVersion(); (version > 2) != (members != "") {
				t.Errorf("members %q: the header has version %d", members, version)
			}
			r.reopen()
		}
	}
}
