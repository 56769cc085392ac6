package kv_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// A shelf is a state with a disk in memory, driven by hand.
type shelf struct {
	t     *testing.T
	state *kv.State
	store *kv.Store
	log   *kvtest.Direct
	mu    sync.Mutex
	disk  map[kv.Locator][]byte
	reads atomic.Int64
	// before is called before each read of a cold value.
	before func(ctx context.Context) error
}

func newShelf(t *testing.T, opts kv.StateOptions) *shelf {
	t.Helper()
	s := &shelf{t: t, disk: make(map[kv.Locator][]byte)}
	opts.Cold = s
	s.state = kv.NewState(opts)
	log, err := kvtest.NewDirect(s.state, 7, kv.Params{})
	if err != nil {
		t.Fatal(err)
	}
	s.log, s.store = log, kv.NewStore(s.state, log, kv.Limits{})
	return s
}

// ReadCold implements kv.ColdReader.
func (s *shelf) ReadCold(ctx context.Context, ref kv.ColdRef) (string, error) {
	s.reads.Add(1)
	if s.before != nil {
		if err := s.before(ctx); err != nil {
			return "", err
		}
	}
	s.mu.Lock()
	b, ok := s.disk[ref.At]
	s.mu.Unlock()
	if !ok {
		return "", fmt.Errorf("record %v: %w", ref.At, kv.ErrColdGone)
	}
	return ref.ParseValue(b)
}

func (s *shelf) put(key, value string) *kv.Entry {
	s.t.Helper()
	r, err := s.store.Do(s.t.Context(), &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: []byte(value)}}})
	if err != nil {
		s.t.Fatal(err)
	}
	return r.Ops[0].Entry
}

// checkpoint writes what changed; what it replaces goes, after LoadPinned if asked
// for.
func (s *shelf) checkpoint(load bool) {
	s.t.Helper()
	c, err := s.state.Freeze()
	if err != nil {
		s.t.Fatal(err)
	}
	var dead []kv.Locator
	for r, old := range c.Records() {
		s.mu.Lock()
		s.disk[r.Locator()] = r.AppendTo(nil)
		s.mu.Unlock()
		dead = append(dead, old)
	}
	c.Commit()
	if load {
		if err := s.state.LoadPinned(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range dead {
		delete(s.disk, at)
	}
}

// value returns a value that is worth evicting.
func value(s string) string { return strings.Repeat(s, kv.DefaultColdMin) }

// cold puts keys with values made of their names, and evicts them.
func (s *shelf) cold(keys ...string) {
	s.t.Helper()
	for _, key := range keys {
		s.put(key, value(key))
	}
	s.checkpoint(true)
	s.state.Evict(1 << 30)
	for _, key := range keys {
		if e, _ := s.state.Get(key); !e.Cold() || e.Size() != len(value(key)) {
			s.t.Fatalf("%q after eviction: got cold %v, %d bytes", key, e.Cold(), e.Size())
		}
	}
}

// A snapshot must go on showing a value that was cold when its key was written
// to, after the record of that value is gone from the disk; without LoadPinned the
// loss must be reported and not be confused with another value.
func TestSnapshotKeepsColdValue(t *testing.T) {
	for _, load := range []bool{true, false} {
		s := newShelf(t, kv.StateOptions{})
		s.cold("a", "b")
		snap, err := s.state.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		seen := snap.Get("a")
		s.put("a", value("x"))
		s.checkpoint(load)
		for _, e := range []*kv.Entry{seen, snap.Get("a")} {
			got, err := snap.Resolve(t.Context(), "a", e)
			switch {
			case load && (err != nil || got.Value() != value("a") || got.Tier() != kv.TierDisk):
				t.Errorf("after LoadPinned: got %v, %v, want the old value", got, err)
			case !load && !errors.Is(err, kv.ErrDamaged):
				t.Errorf("without: got %v, want %v", err, kv.ErrDamaged)
			}
		}
	}
}

// A record that is missing although its key still names it is damage, and must
// not read as an absent key or an empty value.
func TestMissingRecordIsDamage(t *testing.T) {
	s := newShelf(t, kv.StateOptions{})
	s.cold("a")
	s.mu.Lock()
	kept := maps.Clone(s.disk)
	clear(s.disk)
	s.mu.Unlock()
	if _, _, err := s.store.Get(t.Context(), "a"); !errors.Is(err, kv.ErrDamaged) {
		t.Errorf("missing record: got %v, want %v", err, kv.ErrDamaged)
	}
	s.mu.Lock()
	for at, b := range kept {
		b[len(b)/2] ^= 1
		s.disk[at] = b
	}
	s.mu.Unlock()
	if _, _, err := s.store.Get(t.Context(), "a"); !errors.Is(err, kv.ErrDamaged) {
		t.Errorf("flipped bit: got %v, want %v", err, kv.ErrDamaged)
	}
}

// A reader whose record was swept because the key was written to meanwhile must
// get the new value, not an error.
func TestReaderMeetsNewerVersion(t *testing.T) {
	s := newShelf(t, kv.StateOptions{})
	s.cold("a")
	once := sync.OnceFunc(func() {
		s.put("a", "new")
		s.checkpoint(true)
	})
	s.before = func(context.Context) error { once(); return nil }
	e, _, err := s.store.Get(t.Context(), "a")
	if err != nil || e.Value() != "new" || e.Tier() != kv.TierMemory {
		t.Fatalf("got %v, %v, want the new value", e, err)
	}
}

// Many readers of one cold key must cost one read, see where the value was, and
// find it in memory afterwards; one that gives up must not fail the others.
func TestOneFlightPerKey(t *testing.T) {
	s := newShelf(t, kv.StateOptions{})
	s.cold("a")
	leader, giveUp := context.WithCancel(t.Context())
	started := make(chan struct{}, 100)
	release := make(chan struct{})
	s.before = func(ctx context.Context) error {
		started <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, _, err := s.store.Get(leader, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("the one who gave up: got %v", err)
		}
	})
	<-started
	for range 8 {
		wg.Go(func() {
			e, _, err := s.store.Get(t.Context(), "a")
			if err != nil || e.Value() != value("a") {
				t.Errorf("a waiting reader: got %v, %v", e, err)
			}
		})
	}
	giveUp()
	<-started
	close(release)
	wg.Wait()
	e, _, err := s.store.Get(t.Context(), "a")
	if err != nil || e.Tier() != kv.TierMemory || s.state.Tiers().Promotions != 1 {
		t.Errorf("afterwards: got tier %v, %v, %d promotions", e.Tier(), err, s.state.Tiers().Promotions)
	}
	if n := s.reads.Load(); n > 9 {
		t.Errorf("%d reads for one value", n)
	}
}

// Compares by revision or value, lists of keys and deletions must not touch the
// disk.
func TestColdKeysNeedNoDisk(t *testing.T) {
	s := newShelf(t, kv.StateOptions{})
	s.cold("a", "b", "c")
	for _, c := range []struct {
		check kv.Check
		want  kv.Outcome
	}{
		{kv.Check{Kind: kv.CheckValue, Key: "a", Value: []byte(value("a"))}, kv.Committed},
		{kv.Check{Kind: kv.CheckRev, Key: "b", N: uint64(must(s.state.Get("b")).Mod)}, kv.Committed},
		{kv.Check{Kind: kv.CheckExists, Key: "c", N: 1}, kv.Committed},
	} {
		r, err := s.store.Do(t.Context(), &kv.Command{
			Checks: []kv.Check{c.check}, Ops: []kv.Op{{Kind: kv.OpDelete, Key: c.check.Key}},
		})
		if err != nil || r.Outcome != c.want {
			t.Errorf("check %v: got %v, %v", c.check.Kind, r.Outcome, err)
		}
	}
	if n := s.reads.Load(); n != 0 {
		t.Errorf("%d reads of the disk", n)
	}
	s.cold("d")
	r, err := s.store.Do(t.Context(), &kv.Command{
		Checks: []kv.Check{{Kind: kv.CheckValue, Key: "d", Value: []byte(value("e"))}},
		Ops:    []kv.Op{{Kind: kv.OpDelete, Key: "d"}},
	})
	if err != nil || r.Outcome != kv.CheckFailed || r.Current.Value() != value("d") {
		t.Errorf("a compare that fails: got %+v, %v, want what stands there", r, err)
	}
}

func must(e *kv.Entry, _ kv.Position) *kv.Entry { return e }

// If this failed, many reads of large values that are not in memory would all have them
// there at once, before anybody could say that this is too much.
func TestReadAsksBeforeItFetches(t *testing.T) {
	s := newShelf(t, kv.StateOptions{Presize: 64})
	value := strings.Repeat("x", 1000)
	s.put("k", value)
	full := errors.New("no room")
	var asked []int
	may := func(refuse error) func(int) error {
		return func(size int) error { asked = append(asked, size); return refuse }
	}
	if e, _, err := s.store.GetIf(t.Context(), "k", may(full)); err != nil || e.Value() != value || len(asked) != 0 {
		t.Errorf("a value in memory: got %v, asked for %v", err, asked)
	}
	s.checkpoint(false)
	if s.state.Evict(1) == 0 {
		t.Fatal("nothing was evicted")
	}
	if _, _, err := s.store.GetIf(t.Context(), "k", may(full)); !errors.Is(err, full) || s.reads.Load() != 0 {
		t.Errorf("refused: got %v after %d reads", err, s.reads.Load())
	}
	if e, _, err := s.store.GetIf(t.Context(), "k", may(nil)); err != nil || e.Value() != value || len(asked) != 2 || asked[1] != len(value) {
		t.Errorf("allowed: got %v, asked for %v", err, asked)
	}
}

// What is not in the checkpoint yet must stay in memory, and so must what a
// commit has not reached.
func TestDirtyValuesStay(t *testing.T) {
	s := newShelf(t, kv.StateOptions{})
	s.put("a", value("a"))
	if freed := s.state.Evict(1 << 30); freed != 0 {
		t.Errorf("freed %d bytes that nothing else holds", freed)
	}
	s.checkpoint(true)
	s.put("a", value("b"))
	s.state.Evict(1 << 30)
	if e := must(s.state.Get("a")); e.Cold() || e.Value() != value("b") {
		t.Errorf("got cold %v", e.Cold())
	}
}

// A copy of an entry with another value must keep every other field, those too
// that are added one day.
func TestEvictionKeepsEveryField(t *testing.T) {
	if missing := kv.FieldsLostByEviction(); len(missing) > 0 {
		t.Errorf("fields that a cold entry loses: %v", missing)
	}
}

// A state that has nothing to read from must never drop a value, whatever its
// checkpoints say.
func TestNoReaderNoEviction(t *testing.T) {
	s := newShelf(t, kv.StateOptions{})
	s.state = kv.NewState(kv.StateOptions{})
	log, err := kvtest.NewDirect(s.state, 7, kv.Params{})
	if err != nil {
		t.Fatal(err)
	}
	s.store = kv.NewStore(s.state, log, kv.Limits{})
	s.put("a", value("a"))
	s.checkpoint(false)
	if freed := s.state.Evict(1 << 30); freed != 0 || must(s.state.Get("a")).Cold() {
		t.Errorf("freed %d bytes that nothing else holds", freed)
	}
}
