package kv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

func do(t testing.TB, store *kv.Store, ops ...kv.Op) kv.Result {
	t.Helper()
	r, err := store.Do(context.Background(), &kv.Command{Ops: ops})
	if err != nil {
		t.Fatalf("do: %v", err)
	}
	return r
}

func snapshot(t testing.TB, s *kv.State) *kv.Snapshot {
	t.Helper()
	n, err := s.Snapshot()
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	t.Cleanup(n.Close)
	return n
}

// lost says which snapshots have ended.
func lost(snaps ...*kv.Snapshot) (out []int) {
	for i, n := range snaps {
		if errors.Is(n.Err(), kv.ErrSnapshotLost) {
			out = append(out, i)
		}
	}
	return out
}

// Of too many snapshots the oldest must end; one revision counts once.
func TestOldestSnapshotEndsWhenTooMany(t *testing.T) {
	store, _ := openDirect(t, kv.StateOptions{Presize: 64, SnapshotMax: 2}, kv.Params{})
	var snaps []*kv.Snapshot
	for i := range 3 {
		do(t, store, kvtest.Put("k", fmt.Sprint(i)))
		snaps = append(snaps, snapshot(t, store.State()), snapshot(t, store.State()))
	}
	if got := lost(snaps...); fmt.Sprint(got) != "[0 1]" {
		t.Errorf("ended: got %v, want the two of the first revision", got)
	}
	for i, n := range snaps[2:] {
		if got := n.Get("k").Value(); got != fmt.Sprint(1+i/2) {
			t.Errorf("snapshot %d: got %q, want %d", i+2, got, 1+i/2)
		}
	}
	if got := store.State().Stats(); got.Snapshots != 2 || got.SnapshotsEnded != 1 {
		t.Errorf("stats: got %d open, %d ended, want 2 and 1", got.Snapshots, got.SnapshotsEnded)
	}
}

// A snapshot must end when log time has passed its age, and not before.
func TestOldSnapshotEnds(t *testing.T) {
	store, log := openDirect(t, kv.StateOptions{Presize: 64, SnapshotAge: time.Second}, kv.Params{})
	n := snapshot(t, store.State())
	for _, step := range []struct {
		ms   int64
		want error
	}{{1000, nil}, {1, kv.ErrSnapshotLost}} {
		if err := log.Advance(step.ms); err != nil {
			t.Fatal(err)
		}
		if got := n.Err(); got != step.want {
			t.Errorf("at %d ms: got %v, want %v", log.Now(), got, step.want)
		}
	}
}

// Snapshots that hold too many bytes must end, the oldest first, and give the
// bytes back.
func TestSnapshotBytesAreBounded(t *testing.T) {
	store, _ := openDirect(t, kv.StateOptions{Presize: 64, SnapshotBytes: 5000}, kv.Params{})
	big := strings.Repeat("x", 1000)
	do(t, store, kvtest.Put("k", big))
	old := snapshot(t, store.State())
	for range 3 {
		do(t, store, kvtest.Put("k", big), kvtest.Put("l", big))
	}
	recent := snapshot(t, store.State())
	if got := lost(old, recent); got != nil {
		t.Errorf("ended while one version is held: got %v, want none", got)
	}
	for i := range 4 {
		do(t, store, kvtest.Put(fmt.Sprint("m", i), big), kvtest.Put("k", big), kvtest.Put("l", big))
	}
	if got := store.State().Stats().SnapshotBytes; got < 3000 || got > 5000 {
		t.Errorf("bytes for three versions: got %d", got)
	}
	if got, want := store.State().Memory().Kept, store.State().Stats().SnapshotBytes; got != want {
		t.Errorf("the memory in use counts %d bytes for snapshots, want %d", got, want)
	}
	huge := strings.Repeat("x", 10_000)
	do(t, store, kvtest.Put("n", huge))
	last := snapshot(t, store.State())
	do(t, store, kvtest.Delete("n"))
	if got := lost(old, recent, last); fmt.Sprint(got) != "[0 1 2]" {
		t.Errorf("ended: got %v, want all: the last holds too much alone", got)
	}
	if got := store.State().Stats().SnapshotBytes; got != 0 {
		t.Errorf("bytes after all ended: got %d, want 0", got)
	}
	if got := store.State().Memory().Kept; got != 0 {
		t.Errorf("the memory in use counts %d bytes for snapshots that ended, want 0", got)
	}
}

// What only a checkpoint holds must not end the snapshots of readers, and
// closing them meanwhile must give back what they held.
func TestCheckpointDoesNotEndSnapshots(t *testing.T) {
	store, _ := openDirect(t, kv.StateOptions{Presize: 64, SnapshotMax: 1, SnapshotBytes: 5000}, kv.Params{})
	big := strings.Repeat("x", 1000)
	var puts []kv.Op
	for i := range 20 {
		puts = append(puts, kvtest.Put(fmt.Sprint("k", i), big))
	}
	do(t, store, puts...)
	c, err := store.State().Freeze()
	if err != nil {
		t.Fatal(err)
	}
	do(t, store, puts...)
	held := store.State().Stats().SnapshotBytes
	if held < 20_000 {
		t.Errorf("bytes held for the checkpoint: got %d, want at least 20000", held)
	}
	for range 5 {
		n := snapshot(t, store.State())
		do(t, store, puts[:2]...)
		if err := n.Err(); err != nil {
			t.Errorf("a reader's snapshot: got %v, want nil", err)
		}
		n.Close()
	}
	if got := store.State().Stats().SnapshotBytes; got != held {
		t.Errorf("bytes after readers have gone: got %d, want %d", got, held)
	}
	for r := range c.Records() {
		if r.Entry.Version != 1 {
			t.Errorf("checkpoint of %q: got version %d, want 1", r.Key, r.Entry.Version)
		}
	}
	c.Commit()
	if got := store.State().Stats().SnapshotBytes; got != 0 {
		t.Errorf("bytes after the checkpoint: got %d, want 0", got)
	}
}

// A scan that is broken off must stop, and one without keys must yield none.
func TestScanStops(t *testing.T) {
	store, _ := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{})
	do(t, store, kvtest.Put("a", "1"), kvtest.Put("b", "2"), kvtest.Put("c", "3"))
	n := snapshot(t, store.State())
	count := 0
	for range n.Scan("", "") {
		count++
		break
	}
	if count != 1 {
		t.Errorf("scan broken off: got %d keys, want 1", count)
	}
	for key := range n.Scan("c", "c") {
		t.Errorf("scan after the last: got %q, want nothing", key)
	}
}

// If this failed, a snapshot that is closed, or ended because it keeps too much, would hold every
// write up while all that it kept is let go; or an older one would lose what both see.
func TestSnapshotsAreLetGoInSteps(t *testing.T) {
	s := newStepper(t)
	s.State = kv.NewState(kv.StateOptions{Presize: 1, SnapshotMax: 2})
	ops := make([]kv.Op, many)
	put := func(value string) {
		for i := range ops {
			ops[i] = kvtest.Put(fmt.Sprint("k", i), value)
		}
		s.apply(&kv.Command{Ops: ops})
	}
	shows := func(n *kv.Snapshot, want string) {
		t.Helper()
		for i := range many {
			if e := n.Get(fmt.Sprint("k", i)); e == nil || e.Value() != want {
				t.Fatalf("key %d: got %v, want %s", i, e, want)
			}
		}
	}
	put("1")
	first := snapshot(t, s.State)
	s.apply(&kv.Command{Ops: []kv.Op{kvtest.Put("other", "")}})
	second := snapshot(t, s.State) // sees the same versions, and keeps them
	put("2")
	third := snapshot(t, s.State) // ends the first, which keeps none
	put("3")
	if got := lost(first, second, third); fmt.Sprint(got) != "[0]" || s.KeptVersions() != 2*many {
		t.Fatalf("ended: %v, %d versions are kept, want the first and %d", got, s.KeptVersions(), 2*many)
	}
	if n := s.PinnedWork(); n != 0 {
		t.Errorf("%d versions are looked at for cold ones, and none is cold", n)
	}
	shows(second, "1")
	fourth := snapshot(t, s.State) // ends the second
	for want := 2*many - kv.LockStep; want > many; want -= kv.LockStep {
		shows(third, "2")
		s.apply(&kv.Command{Ops: []kv.Op{kvtest.Put("other", "")}})
		if got := s.KeptVersions(); got < want-1 || got > want+1 { // and that of the key other
			t.Fatalf("%d versions are kept after an entry, want %d", got, want)
		}
	}
	if got := s.Stats(); got.Snapshots != 2 || got.SnapshotsEnded != 2 {
		t.Errorf("%d snapshots, %d ended, want 2 and 2", got.Snapshots, got.SnapshotsEnded)
	}
	fourth.Close() // lets go of what is left of the second too
	if got := s.KeptVersions(); got != many+1 {
		t.Errorf("%d versions are kept, want the %d that the third sees", got, many+1)
	}
	shows(third, "2")
	third.Close()
	if got := s.KeptVersions(); got != 0 || s.Stats().SnapshotBytes != 0 {
		t.Errorf("%d versions in %d bytes are kept for no snapshot", got, s.Stats().SnapshotBytes)
	}
}
