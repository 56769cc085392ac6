package persist_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/disk"
	"keywatch/test/gate"
)

// coldKeys is how many keys the tests of cold values use.
const coldKeys = 40

// versioned returns the value that a key's version has.
func versioned(key string, version uint64) string {
	return strings.Repeat(fmt.Sprintf("%s#%d ", key, version), 20)
}

// putNext writes the next version of a key.
func (r *rig) putNext(key string) {
	version := uint64(1)
	if e, _ := r.state.Get(key); e != nil {
		version = e.Version + 1
	}
	r.do(put(key, versioned(key, version), 0))
}

// checkEntry reports a value that is not that of the entry's version.
func checkEntry(t testing.TB, key string, e *kv.Entry, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("read %q: %v", key, err)
	} else if want := versioned(key, e.Version); e.Value() != want {
		t.Errorf("%q version %d: got %.40q, want %.40q", key, e.Version, e.Value(), want)
	}
}

// Readers of cold values and snapshots must see every value right while
// checkpoints replace records, sweeping and compaction move them, the evictor
// drops what they bring back, and restarts leave values on disk.
func TestColdReadsBesideSweeping(t *testing.T) { coldReadsBesideSweeping(t, 1) }

func TestProofColdReadsBesideSweeping(t *testing.T) {
	gate.Long(t)
	coldReadsBesideSweeping(t, 8)
}

// coldReadsBesideSweeping does so until the store was restarted so many times.
func coldReadsBesideSweeping(t *testing.T, restarts int) {
	r := newRig(t, quick())
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range coldKeys {
		r.putNext(fmt.Sprintf("key%d", i))
	}
	r.mustCheckpoint()
	var evictions uint64
	for range restarts {
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { readKeysUntil(t, r.state, done) })
		wg.Go(func() { readSnapshotsUntil(t, r.state, done) })
		wg.Go(func() { evictUntil(r.state, done) })
		wg.Go(func() { compactFileUntil(t, r.db, done) })
		for range 30 {
			for range 12 {
				r.putNext(fmt.Sprintf("key%d", rnd.IntN(coldKeys)))
			}
			r.mustCheckpoint()
		}
		close(done)
		wg.Wait()
		evictions += r.state.Tiers().Evictions
		if err := r.db.Close(true); err != nil {
			t.Fatal(err)
		}
		r.memory = 1
		r.open()
		if tiers := r.state.Tiers(); tiers.Tier[kv.TierDisk].Keys == 0 {
			t.Errorf("after a restart: got %+v, want values left on disk", tiers)
		}
	}
	if s := r.db.Stats(); evictions == 0 {
		t.Errorf("%d evictions, stats %+v: the test tests nothing", evictions, s)
	}
}

func over(done chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func readKeysUntil(t *testing.T, s *kv.State, done chan struct{}) {
	newest := make(map[string]uint64)
	for !over(done) {
		key := fmt.Sprintf("key%d", rand.IntN(coldKeys))
		e, _, err := s.Read(context.Background(), key)
		checkEntry(t, key, e, err)
		if err != nil {
			return
		}
		if e.Version < newest[key] {
			t.Errorf("%q went back from version %d to %d", key, newest[key], e.Version)
		}
		newest[key] = e.Version
	}
}

func readSnapshotsUntil(t *testing.T, s *kv.State, done chan struct{}) {
	for !over(done) {
		snap, err := s.Snapshot()
		if err != nil {
			t.Error(err)
			return
		}
		n := 0
		for key, e := range snap.Scan("", "") {
			e, err := snap.Resolve(context.Background(), key, e)
			checkEntry(t, key, e, err)
			n++
		}
		if n != coldKeys {
			t.Errorf("a snapshot has %d keys, want %d", n, coldKeys)
		}
		snap.Close()
	}
}

func evictUntil(s *kv.State, done chan struct{}) {
	for !over(done) {
		s.Evict(4000)
	}
}

func compactFileUntil(t *testing.T, db *persist.DB, done chan struct{}) {
	for !over(done) {
		if err := db.Compact(context.Background()); err != nil {
			t.Errorf("compact: %v", err)
			return
		}
	}
}

// A cold value whose record is damaged in the file must be named as damage, and
// the others must still be read.
func TestDamagedColdValue(t *testing.T) {
	r := newRig(t, quick())
	for i := range coldKeys {
		r.putNext(fmt.Sprintf("key%d", i))
	}
	r.mustCheckpoint()
	r.state.Evict(1 << 30)
	path := filepath.Join(r.dir, persist.CheckpointName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	needle, spoiled := versioned("key7", 1), 0
	for at := 0; ; at++ {
		i := strings.Index(string(b[at:]), needle)
		if i < 0 {
			break
		}
		at += i
		if _, err := f.WriteAt([]byte("!"), int64(at)+9); err != nil {
			t.Fatal(err)
		}
		spoiled++
	}
	if spoiled == 0 {
		t.Fatal("the value is not in the file as it is")
	}
	for i := range coldKeys {
		key := fmt.Sprintf("key%d", i)
		e, _, err := r.state.Read(t.Context(), key)
		if i != 7 {
			checkEntry(t, key, e, err)
			continue
		}
		var damage *disk.DamageError
		if !errors.Is(err, kv.ErrDamaged) || !errors.As(err, &damage) || damage.File != path {
			t.Errorf("damaged value: got %v, want a *DamageError that names the file", err)
		}
	}
}

// Once the folder is closed cold values cannot be read, and that must be said as
// something that may pass and not as damage.
func TestColdReadAfterClose(t *testing.T) {
	r := newRig(t, quick())
	r.putNext("a")
	r.mustCheckpoint()
	r.state.Evict(1 << 30)
	if err := r.db.Close(true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.state.Read(t.Context(), "a"); !errors.Is(err, kv.ErrTierUnavailable) || errors.Is(err, kv.ErrDamaged) {
		t.Errorf("got %v, want %v", err, kv.ErrTierUnavailable)
	}
}
