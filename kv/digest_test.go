package kv_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"keywatch/kv"
)

// If the digest of a state did not follow what it holds, servers that differ would look the same; if it followed
// anything else, those that are the same would be called different.
func TestDigestTellsStatesApart(t *testing.T) {
	apply := func(s *kv.State, ops ...kv.Op) {
		t.Helper()
		at := s.Applied() + 1
		if _, err := s.Apply(at, 1, kv.EncodeEntry(1000, &kv.Command{Ops: ops})); err != nil {
			t.Fatal(err)
		}
	}
	put := func(key, value string, ttl time.Duration) kv.Op {
		return kv.Op{Kind: kv.OpPut, Key: key, Value: []byte(value), TTL: ttl}
	}
	seen := make(map[uint64]string)
	for name, ops := range map[string][]kv.Op{
		"nothing": nil, "a key": {put("a", "1", 0)}, "another key": {put("b", "1", 0)}, "a longer value": {put("a", "11", 0)},
		"an end": {put("a", "1", time.Minute)}, "two keys": {put("a", "1", 0), put("b", "1", 0)},
		"one of them deleted": {put("a", "1", 0), put("b", "1", 0), {Kind: kv.OpDelete, Key: "b"}},
	} {
		one, two := kv.NewState(kv.StateOptions{}), kv.NewState(kv.StateOptions{})
		for _, op := range ops {
			apply(one, op)
			apply(two, op)
		}
		if one.Digest() != two.Digest() {
			t.Errorf("%s: two states that are the same have the digests %x and %x", name, one.Digest(), two.Digest())
		}
		if other, ok := seen[one.Digest()]; ok {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[one.Digest()] = name
	}
	s := kv.NewState(kv.StateOptions{})
	for i := range 100 {
		apply(s, put(fmt.Sprint("k", i%7), fmt.Sprint(i), 0))
		before := s.Digest()
		s.Skip(s.Applied()+1, 1) // an entry without commands
		if got := s.Digest(); got != before {
			t.Fatalf("an entry without commands changes the digest from %x to %x", before, got)
		}
	}
}

// A server that is alone keeps no digest. Once it is the first of several its store must have the one that it would have
// had: the others, which get the store, count it.
func TestDigestOfAStoreThatWasAlone(t *testing.T) {
	_, _, _, want := frozen(t, kv.StateOptions{})
	meta, records, idem, none := frozen(t, kv.StateOptions{NoDigest: true})
	s := kv.NewState(kv.StateOptions{Presize: 64})
	l := s.Load(meta)
	for _, r := range records {
		if _, _, err := l.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.AddIdem(meta.IdemFirst, idem), l.Done()); err != nil {
		t.Fatal(err)
	}
	if got := s.Digest(); got != want || none == want {
		t.Errorf("got %x, want %x; without a digest %x", got, want, none)
	}
}
