package kv_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

func putTTL(ttl time.Duration) kv.Op {
	op := kvtest.Put("k", "v")
	op.TTL = ttl
	return op
}

// A command must be refused for the reason that it is wrong, and only then.
func TestValidate(t *testing.T) {
	limits := kv.Limits{Value: 10, Ops: 3, Command: 30}
	get, put, long := kvtest.Get("k"), kvtest.Put("k", "v"), strings.Repeat("x", 11)
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		name string
		cmd  kv.Command
		want error
	}{
		{"empty", kv.Command{}, nil},
		{"value at the limit", kv.Command{Ops: []kv.Op{kvtest.Put("k", long[:10])}}, nil},
		{"value too large", kv.Command{Ops: []kv.Op{kvtest.Put("k", long)}}, kv.ErrValueTooLarge},
		{"compared value too large", kv.Command{Checks: []kv.Check{kvtest.Value("k", long)}}, kv.ErrValueTooLarge},
		{"operations at the limit", kv.Command{Ops: []kv.Op{get, get}, HasElse: true, Else: []kv.Op{get}}, nil},
		{"too many operations", kv.Command{Ops: []kv.Op{get, get}, HasElse: true, Else: []kv.Op{get, get}}, kv.ErrBatchTooLarge},
		{"too many checks", kv.Command{Checks: make([]kv.Check, 4)}, kv.ErrBatchTooLarge},
		{"too many fences", kv.Command{Fences: make([]kv.Fence, 4)}, kv.ErrBatchTooLarge},
		{"too many bytes", kv.Command{Ops: []kv.Op{
			kvtest.Put("a", long[:10]), kvtest.Put("b", long[:10]), kvtest.Put("c", long[:10])}}, kv.ErrBatchTooLarge},
		{"else without HasElse", kv.Command{Else: []kv.Op{get}}, kv.ErrBadCommand},
		{"unknown operation", kv.Command{Ops: []kv.Op{{Kind: 9, Key: "k"}}}, kv.ErrBadCommand},
		{"unknown check", kv.Command{Checks: []kv.Check{{Kind: 9, Key: "k"}}}, kv.ErrBadCommand},
		{"exists 2", kv.Command{Checks: []kv.Check{{Kind: kv.CheckExists, Key: "k", N: 2}}}, kv.ErrBadCommand},
		{"bad key", kv.Command{Ops: []kv.Op{kvtest.Get("/k")}}, kv.ErrBadKey},
		{"bad key in a check", kv.Command{Checks: []kv.Check{kvtest.Revision("", 0)}}, kv.ErrBadKey},
		{"written twice", kv.Command{Ops: []kv.Op{put, kvtest.Delete("k")}}, kv.ErrDuplicateKey},
		{"read twice, written once", kv.Command{Ops: []kv.Op{get, put, get}}, nil},
		{"written in both branches", kv.Command{Ops: []kv.Op{put}, HasElse: true, Else: []kv.Op{put}}, nil},
		{"reserved key", kv.Command{Ops: []kv.Op{kvtest.Put("locks/l", "v")}}, kv.ErrReservedKey},
		{"reserved key in else", kv.Command{HasElse: true, Else: []kv.Op{kvtest.Delete("locks/l")}}, kv.ErrReservedKey},
		{"reading a reserved key", kv.Command{Ops: []kv.Op{kvtest.Get("locks/l")}}, nil},
		{"smallest TTL", kv.Command{Ops: []kv.Op{putTTL(kv.MinTTL)}}, nil},
		{"largest TTL", kv.Command{Ops: []kv.Op{putTTL(kv.MaxTTL)}}, nil},
		{"TTL too small", kv.Command{Ops: []kv.Op{putTTL(kv.MinTTL - 1)}}, kv.ErrBadTTL},
		{"TTL too large", kv.Command{Ops: []kv.Op{putTTL(kv.MaxTTL + 1)}}, kv.ErrBadTTL},
		{"negative TTL", kv.Command{Ops: []kv.Op{putTTL(-2)}}, kv.ErrBadTTL},
		{"prefix", kv.Command{Prefix: text("a/")}, nil},
		{"every prefix", kv.Command{Prefix: text("")}, nil},
		{"prefix of locks", kv.Command{Prefix: text("locks/a")}, kv.ErrReservedKey},
		{"bad prefix", kv.Command{Prefix: text("a//")}, kv.ErrBadKey},
		{"prefix with operations", kv.Command{Prefix: text("a"), Ops: []kv.Op{get}}, kv.ErrBadCommand},
	} {
		if got := c.cmd.Validate(limits); !errors.Is(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// The time to live that a reader is told must be at least a millisecond while
// the key is there.
func TestTTLOfEntry(t *testing.T) {
	store, log := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{})
	do(t, store, putTTL(1500*time.Microsecond))
	for want := int64(2); want >= 1; want-- {
		e, _ := store.State().Get("k")
		if got := e.TTL(log.Now()); got != want {
			t.Errorf("at %d: got %d, want %d", log.Now(), got, want)
		}
		if err := log.Advance(1); err != nil {
			t.Fatal(err)
		}
	}
	if e, _ := store.State().Get("k"); e == nil || e.TTL(log.Now()) != 1 {
		t.Errorf("at the deadline: got %v, want 1 ms left", e)
	}
	if err := log.Advance(1); err != nil {
		t.Fatal(err)
	}
	if e, _ := store.State().Get("k"); e != nil {
		t.Errorf("after the deadline: got %v, want absent", e)
	}
}

// A command that reads only must be judged by fences and checks all the same.
func TestReadOnlyCommandIsFenced(t *testing.T) {
	store, _ := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{})
	do(t, store, kvtest.Put("k", "v"))
	c := &kv.Command{Fences: []kv.Fence{{Lock: "l", Token: 1}}, Ops: []kv.Op{kvtest.Get("k")}}
	r, err := store.Do(t.Context(), c)
	if err != nil || r.Outcome != kv.FenceLost || r.Ops != nil {
		t.Errorf("lost fence: got %+v, %v, want %d and no results", r, err, kv.FenceLost)
	}
}

// Deleting and making the same key again and again must not push out what else
// is remembered.
func TestTombstonesOfKeysThatCameBack(t *testing.T) {
	store, log := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{TombstoneMax: 5})
	do(t, store, kvtest.Put("old", "v"))
	do(t, store, kvtest.Delete("old"))
	for range 10_000 {
		do(t, store, kvtest.Put("k", "v"))
		do(t, store, kvtest.Delete("k"))
	}
	stats := store.State().Stats()
	if stats.Tombstones != 2 || stats.Floor != 0 {
		t.Errorf("got %d tombstones and floor %d, want 2 and 0: only those of absent keys count", stats.Tombstones, stats.Floor)
	}
	if err := log.Advance(time.Hour.Milliseconds() + 1); err != nil {
		t.Fatal(err)
	}
	if got := store.State().Stats(); got.Tombstones != 0 || got.Floor != store.State().Position().Rev {
		t.Errorf("after their window: got %d tombstones and floor %d, want 0 and the newest revision", got.Tombstones, got.Floor)
	}
}
