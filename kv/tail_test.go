package kv_test

import (
	"bytes"
	"context"
	"runtime"
	"strings"
	"testing"

	"keywatch/kv"
)

// Keys and values of every length must be read as they were written, among others of
// the same length: an allocation that is too small for what is behind it would
// be overwritten by its neighbour, or the collector would stumble over it.
func TestEveryLength(t *testing.T) {
	const most, each = 1024, 3
	value := func(size, i int) []byte { return bytes.Repeat([]byte{0xff - byte(size+i)%16}, size) }
	key := func(size, i int) string { return strings.Repeat(string(rune('a'+i)), size) }
	s := kv.NewState(kv.StateOptions{})
	var index uint64
	for round := range 2 {
		for size := 1; size <= most; size++ {
			var e kv.EntryBuilder
			for i := range each {
				e.Add(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key(size, i), Value: value(size-1, i+round)}}})
			}
			index++
			if _, err := s.Apply(index, 1, e.Finish(0)); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for size := 1; size <= most; size++ {
		for i := range each {
			k, want := key(size, i), string(value(size-1, i+1))
			e, _ := s.Get(k)
			if e == nil || e.Value() != want || e.Size() != len(want) || e.Version != 2 {
				t.Fatalf("key of %d bytes: got %v", size, e)
			}
			if seen := snap.Get(k); seen != e {
				t.Fatalf("key of %d bytes: the index has %p, the map %p", size, seen, e)
			}
		}
	}
	n := 0
	for range snap.Scan("", "") {
		n++
	}
	if n != most*each {
		t.Errorf("got %d keys in order, want %d", n, most*each)
	}
}

// What a put was given may be used again by the caller: neither key nor value may
// share memory with it, whether they are short or long.
func TestPutKeepsNothingOfTheEntry(t *testing.T) {
	for _, size := range []int{1, 40, 400, 1000} {
		s := kv.NewState(kv.StateOptions{})
		key, value := strings.Repeat("k", size), strings.Repeat("v", size)
		data := bytes.Clone(kv.EncodeEntry(0, &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: []byte(value)}}}))
		if _, err := s.Apply(1, 1, data); err != nil {
			t.Fatal(err)
		}
		clear(data)
		e, _, err := s.Read(context.Background(), key)
		if err != nil || e == nil || e.Value() != value {
			t.Errorf("%d bytes: got %v, %v", size, e, err)
		}
	}
}
