package kv_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/test/gate"
)

// heapNow returns the bytes that are reachable.
func heapNow() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers hold
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// If this failed, snapshots could keep a copy of the whole index each, and no limit would
// know of it; or snapshots would be ended for memory that they do not take.
func TestSnapshotsCountTheirIndex(t *testing.T) {
	const keys, snapshots, inserts = 50_000, 40, 200
	s := kv.NewState(kv.StateOptions{Presize: keys, SnapshotBytes: 1 << 30})
	index := uint64(0)
	put := func(key string) {
		index++
		if _, err := s.Apply(index, 1, kv.EncodeEntry(0, &kv.Command{Ops: []kv.Op{kvtest.Put(key, "")}})); err != nil {
			t.Fatal(err)
		}
	}
	for i := range keys {
		put(fmt.Sprintf("k%09d", i*100))
	}
	rnd := rand.New(rand.NewPCG(gate.Seed(t), 0))
	for _, c := range []struct {
		name string
		key  func(i int) string
	}{
		{"anywhere", func(int) string { return fmt.Sprintf("k%09d", rnd.IntN(keys*100)) }},
		{"at the end", func(i int) string { return fmt.Sprintf("l%09d", i) }},
	} {
		var open []*kv.Snapshot
		for i := range snapshots * inserts {
			if i%inserts == 0 {
				n, err := s.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, n)
			}
			put(c.key(i))
		}
		counted, held := s.Stats().SnapshotBytes, heapNow()
		for _, n := range open {
			n.Close()
		}
		clear(open)
		real := held - heapNow()
		t.Logf("%s: counted %d bytes, %d were held", c.name, counted, real)
		if counted+snapshots*2048 < real/2 || counted > 4*real+snapshots*4096 {
			t.Errorf("%s: counted %d bytes, %d were held", c.name, counted, real)
		}
		if left := s.Stats().SnapshotBytes; left != 0 {
			t.Errorf("%s: %d bytes count with no snapshot open", c.name, left)
		}
	}
	runtime.KeepAlive(s)
}

// Keys that a snapshot sees stay in memory when they are forgotten: many that are long
// would take more than the limit.
func TestSnapshotsCountForgottenKeys(t *testing.T) {
	const keys, size, most = 100, 1000, 20_000
	store, _ := openDirect(t, kv.StateOptions{Presize: 64, SnapshotBytes: most}, kv.Params{TombstoneMax: 1})
	name := func(i int) string { return fmt.Sprintf("%03d%s", i, strings.Repeat("k", size)) }
	for i := range keys {
		if _, err := store.Do(t.Context(), &kv.Command{Ops: []kv.Op{kvtest.Put(name(i), "")}}); err != nil {
			t.Fatal(err)
		}
	}
	n, err := store.State().Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for i := range keys {
		if n.Err() != nil {
			if i < most/size/2 {
				t.Errorf("it was ended after %d deletions", i)
			}
			return
		}
		if _, err := store.Do(t.Context(), &kv.Command{Ops: []kv.Op{{Kind: kv.OpDelete, Key: name(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	t.Errorf("a snapshot keeps %d keys of %d bytes, and %d bytes are allowed", keys, size, most)
}
