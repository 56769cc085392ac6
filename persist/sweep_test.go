package persist_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/persist"
)

// If this failed, the file would grow without end though the number of keys does not, or fall
// into ever more ranges.
func TestSweepingBoundsTheFile(t *testing.T) {
	r := newRig(t, quick())
	r.params(kv.Params{TombstoneMax: 10})
	for i := range 60 {
		r.do(put(fmt.Sprint("old/", i), "stays", 0))
	}
	r.mustCheckpoint()
	for i := range 1500 {
		r.do(put(fmt.Sprint("hot/", i%20), strings.Repeat("x", 100), 0))
		r.do(put(fmt.Sprint("session/", i), "v", time.Millisecond))
		r.time += 2
		if i%10 == 0 {
			// One key of the old ones changes now and then: its range stays mostly alive.
			r.do(put(fmt.Sprint("old/", i/10%12*5), "changed", 0))
			r.mustCheckpoint()
		}
	}
	s := r.db.Stats()
	// Live are 80 keys and 10 tombstones; dead may be as many, pinned another quarter or one
	// range, and the last checkpoint has not been swept.
	if s.Records > 300 {
		t.Errorf("records in the file: got %d for %d live ones, want at most 300: %+v", s.Records, s.Live, s)
	}
	if s.Ranges > 120 {
		t.Errorf("ranges: got %d, want at most 120", s.Ranges)
	}
	if s.FileBytes > 1<<20 {
		t.Errorf("file: got %d bytes, want at most a MiB", s.FileBytes)
	}
	raw, buckets := r.db.RawRecords()
	if int64(raw) != s.Records || buckets != s.Ranges {
		t.Errorf("the file holds %d records in %d buckets, want %d in %d", raw, buckets, s.Records, s.Ranges)
	}
	if s.Sweeps == 0 || s.SweptRecords == 0 {
		t.Errorf("nothing was swept: %+v", s)
	}
	r.trimLog()
	want := dump(t, r.state, true)
	r.reopen()
	equal(t, "swept, reopened", dump(t, r.state, true), want)
	if after := r.db.Stats(); after.Records != s.Records || after.Pinned < s.Pinned || after.Live > s.Live {
		t.Errorf("figures found again at start: got %+v, want %+v", after, s)
	}
}

// If this failed, a deleted key would return: its put is in a range that stays mostly alive,
// and the record of its deletion was swept once it was forgotten.
func TestForgottenDeletionStaysWhileItHidesAPut(t *testing.T) {
	// schedule returns what is wrong after a restart.
	schedule := func(opts persist.Options) string {
		r := newRig(t, opts)
		r.params(kv.Params{TombstoneMax: 1})
		for i := range 6 {
			r.do(put(fmt.Sprint("range-one/", i), "v", 0))
		}
		r.mustCheckpoint()
		r.do(del("range-one/0"))
		r.mustCheckpoint()
		for i := range 12 { // forget it, and make its range due
			r.do(put(fmt.Sprint("x", i), "v", 0))
			r.do(del(fmt.Sprint("x", i)))
			r.mustCheckpoint()
		}
		r.trimLog()
		if err := r.db.Close(true); err != nil {
			t.Fatal(err)
		}
		if err := r.tryOpen(); err != nil {
			return err.Error()
		}
		if e, _ := r.state.Get("range-one/0"); e != nil {
			return "a deleted key came back"
		}
		return ""
	}
	if wrong := schedule(quick()); wrong != "" {
		t.Error(wrong)
	}
	if wrong := schedule(persist.Early(quick())); wrong == "" {
		t.Error("nothing is wrong where deletion records are dropped early: the schedule tests nothing")
	}
}

// If this failed, deletions that are all forgotten would leave the file one range a checkpoint,
// because each range waits for the older one to be clean.
func TestSweepGoesOnToRangesThatWaited(t *testing.T) {
	r := newRig(t, quick())
	r.params(kv.Params{TombstoneMax: 500})
	for i := range 4 { // each range has deletions, and a few puts that the last one ends
		for j := range 10 {
			r.do(put(fmt.Sprint("gone/", i, j), "v", 0))
			r.do(del(fmt.Sprint("gone/", i, j)))
		}
		for j := range 3 {
			r.do(put(fmt.Sprint("later/", i, j), "v", 0))
		}
		r.mustCheckpoint()
	}
	for i := range 4 {
		for j := range 3 {
			r.do(del(fmt.Sprint("later/", i, j)))
		}
	}
	r.mustCheckpoint()
	before := r.db.Stats()
	r.params(kv.Params{TombstoneMax: 1})
	r.mustCheckpoint()
	if s := r.db.Stats(); before.Ranges < 4 || s.Records != 1 || s.Live != 1 {
		t.Errorf("got %d records, %d of them live, where %d ranges were; want the one tombstone of at least 4 ranges",
			s.Records, s.Live, before.Ranges)
	}
}

// If this failed, a sweep during which the state runs ahead would drop what a restart from the
// checkpoint still needs.
func TestSweepIgnoresWhatCameAfterTheCheckpoint(t *testing.T) {
	var r *rig
	armed := false
	ahead := func(kind string) error {
		if !armed || kind != "header" {
			return nil
		}
		// All is written but the header. Now two keys that the file holds go and are forgotten.
		armed = false
		for i := range 2 {
			r.do(del(fmt.Sprint("k", i)), put(fmt.Sprint("t", i), "", 0), del(fmt.Sprint("t", i)))
		}
		return nil
	}
	r = newRig(t, persist.Hooked(tight, ahead, nil))
	r.params(kv.Params{TombstoneMax: 1})
	for i := range 6 {
		r.do(put(fmt.Sprint("k", i), "v", 0))
	}
	r.mustCheckpoint()
	for i := 2; i < 6; i++ { // four of the six records die, so that the range is swept
		r.do(put(fmt.Sprint("k", i), "w", 0))
	}
	armed = true
	r.mustCheckpoint()
	if s := r.db.Stats(); s.SweptRecords != 4 || s.Live != 6 {
		t.Errorf("got %d records swept and %d live, want 4 and 6", s.SweptRecords, s.Live)
	}
	want := dump(t, r.state, false)
	img := r.copyTo(t.TempDir())
	img.opts = quick()
	img.open()
	defer img.db.Close(false)
	equal(t, "replayed from the checkpoint", dump(t, img.state, false), want)
}
