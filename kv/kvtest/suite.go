package kvtest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
)

// A Store is what the suite tests: anything that can run commands and read
// keys, in this process or over a wire. What Do refuses matches the errors of
// kv.Command.Validate. Where a protocol cannot say a
// command Do fails with an error that matches errors.ErrUnsupported, and the rest of the test is
// skipped.
type Store interface {
	Do(context.Context, *kv.Command) (Answer, error)
	// Get returns nil if key is absent.
	Get(ctx context.Context, key string) (*Found, error)
	// List returns the keys under prefix in order of key.
	List(ctx context.Context, prefix string) ([]Found, error)
}

// A Found is a key as a reader sees it.
type Found struct {
	Key, Value  string
	Rev, Create kv.Rev
	Version     uint64
	// TTL is set if the key has a deadline.
	TTL bool
	// Lease is the lease that the key is attached to, if any.
	Lease kv.LeaseID
}

// An Answer is what became of a command.
type Answer struct {
	Outcome kv.Outcome
	// Rev is the revision that the command took, 0 for none.
	Rev kv.Rev
	// Failed is the index of the check or fence that failed, Current what stood
	// there.
	Failed   int
	Current  *Found
	Deleted  int
	Replayed bool
	Ops      []OpAnswer
}

// An OpAnswer is what one operation did.
type OpAnswer struct {
	// Rev, Version and Created describe what a put made.
	Rev     kv.Rev
	Version uint64
	Created bool
	// Deleted is set if a delete found its key.
	Deleted bool
	// Found is what a get found.
	Found *Found
	// Sum is what an add came to.
	Sum string
}

// Suite runs the conformance suite; open returns an empty store each time.
func Suite(t *testing.T, open func(*testing.T) Store) {
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"put makes versions", putMakesVersions},
		{"delete ends a key", deleteEndsAKey},
		{"any bytes are a value", anyBytesAreAValue},
		{"compare by revision", compareByRevision},
		{"compare by value", compareByValue},
		{"compare by the rest", compareByTheRest},
		{"a failed check changes nothing", failedCheckChangesNothing},
		{"else runs instead", elseRunsInstead},
		{"a batch is one revision", batchIsOneRevision},
		{"a batch of gets takes no revision", getsTakeNoRevision},
		{"a fence without its lock refuses", fenceWithoutLock},
		{"prefix deletion", prefixDeletion},
		{"list is in order", listIsInOrder},
		{"TTL is set, kept and removed", ttlIsSetKeptRemoved},
		{"a repeated request runs once", repeatedRequestRunsOnce},
		{"an add counts", addCounts},
		{"an add keeps the TTL", addKeepsTTL},
		{"a touch changes the TTL only", touchChangesTTL},
		{"another value than", otherValue},
		{"what is refused changes nothing", refusedChangesNothing},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(&suite{t, open(t)}) })
	}
}

type suite struct {
	*testing.T
	store Store
}

func (s *suite) do(c *kv.Command) Answer {
	s.Helper()
	a, err := s.store.Do(context.Background(), c)
	if errors.Is(err, errors.ErrUnsupported) {
		s.Skipf("SKIPPED from here on: %v", err)
	}
	if err != nil {
		s.Fatalf("do: %v", err)
	}
	return a
}

func (s *suite) put(key, value string) OpAnswer {
	s.Helper()
	return s.do(&kv.Command{Ops: []kv.Op{Put(key, value)}}).Ops[0]
}

func (s *suite) get(key string) *Found {
	s.Helper()
	f, err := s.store.Get(context.Background(), key)
	if err != nil {
		s.Fatalf("get %q: %v", key, err)
	}
	return f
}

func (s *suite) list(prefix string) []Found {
	s.Helper()
	found, err := s.store.List(context.Background(), prefix)
	if err != nil {
		s.Fatalf("list %q: %v", prefix, err)
	}
	return found
}

func (s *suite) same(what string, got, want any) {
	s.Helper()
	if !reflect.DeepEqual(got, want) {
		s.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// value says which value key must have; "" means that it must be absent.
func (s *suite) value(key, want string) {
	s.Helper()
	got := ""
	if f := s.get(key); f != nil {
		got = f.Value
	}
	if got != want {
		s.Errorf("value of %q: got %q, want %q", key, got, want)
	}
}

// Put returns an operation that puts value under key.
func Put(key, value string) kv.Op {
	return kv.Op{Kind: kv.OpPut, Key: key, Value: []byte(value)}
}

// Delete returns an operation that deletes key.
func Delete(key string) kv.Op { return kv.Op{Kind: kv.OpDelete, Key: key} }

// Get returns an operation that reads key.
func Get(key string) kv.Op { return kv.Op{Kind: kv.OpGet, Key: key} }

// Add returns an operation that adds by to key.
func Add(key string, by int64) kv.Op { return kv.Op{Kind: kv.OpAdd, Key: key, By: by} }

// Touch returns an operation that gives key another TTL; 0 is none.
func Touch(key string, ttl time.Duration) kv.Op {
	return kv.Op{Kind: kv.OpTouch, Key: key, TTL: ttl}
}

// Revision returns a check that key's mod revision is rev.
func Revision(key string, rev kv.Rev) kv.Check {
	return kv.Check{Kind: kv.CheckRev, Key: key, N: uint64(rev)}
}

// Value returns a check that key's value is value.
func Value(key, value string) kv.Check {
	return kv.Check{Kind: kv.CheckValue, Key: key, Value: []byte(value)}
}

func refusedChangesNothing(s *suite) {
	s.put("a", "1")
	before := s.list("")
	long := strings.Repeat("k", kv.MaxKey+1)
	ttl := Put("b", "x")
	ttl.TTL = kv.MaxTTL + time.Millisecond
	for _, c := range []struct {
		name string
		ops  []kv.Op
		want error
	}{
		{"empty segment", []kv.Op{Put("b", "x"), Put("a//b", "x")}, kv.ErrBadKey},
		{"dots", []kv.Op{Put("a/../b", "x")}, kv.ErrBadKey},
		{"long key", []kv.Op{Put(long, "x")}, kv.ErrBadKey},
		{"control character", []kv.Op{Delete("a\x01")}, kv.ErrBadKey},
		{"reserved", []kv.Op{Put("locks/x", "x")}, kv.ErrReservedKey},
		{"reserved deletion", []kv.Op{Delete("locks/x")}, kv.ErrReservedKey},
		{"twice", []kv.Op{Put("b", "x"), Delete("b")}, kv.ErrDuplicateKey},
		{"large value", []kv.Op{Put("b", strings.Repeat("x", 1<<20+1))}, kv.ErrValueTooLarge},
		{"long TTL", []kv.Op{ttl}, kv.ErrBadTTL},
		{"many operations", slices.Repeat([]kv.Op{Get("a")}, 1025), kv.ErrBatchTooLarge},
	} {
		_, err := s.store.Do(context.Background(), &kv.Command{Ops: c.ops})
		if !errors.Is(err, c.want) && !errors.Is(err, errors.ErrUnsupported) {
			s.Errorf("%s: got error %v, want %v", c.name, err, c.want)
		}
	}
	s.same("keys", s.list(""), before)
}
