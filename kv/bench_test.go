package kv_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"keywatch/app/hugepages"
	"keywatch/kv"
	"keywatch/test/cputime"
)

// benchKeys returns n keys of equal length, each with memory of its own.
func benchKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("bench/%07d", i)
	}
	return keys
}

// fill puts a value of size bytes under each key, 500 to an entry.
func fill(b *testing.B, s *kv.State, keys []string, size int) (index uint64) {
	b.Helper()
	value := make([]byte, size)
	var e kv.EntryBuilder
	for i, key := range keys {
		e.Add(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: value}}})
		if e.Len() == 500 || i == len(keys)-1 {
			index++
			if _, err := s.Apply(index, 1, e.Finish(0)); err != nil {
				b.Fatal(err)
			}
			e.Reset(nil)
		}
	}
	return index
}

// BenchmarkApply applies entries of 256 puts of 100 bytes to existing keys.
func BenchmarkApply(b *testing.B) {
	for _, c := range []struct {
		keys     int
		noDigest bool
	}{{4096, false}, {4096, true}, {1_000_000, false}, {1_000_000, true}} {
		b.Run(fmt.Sprint("keys=", c.keys, "/digest=", !c.noDigest), func(b *testing.B) {
			n := c.keys
			s := kv.NewState(kv.StateOptions{Presize: n, NoDigest: c.noDigest})
			keys := benchKeys(n)
			index := fill(b, s, keys, 100)
			const puts = 256
			entries := make([][]byte, 64)
			for i := range entries {
				var e kv.EntryBuilder
				for range puts {
					e.Add(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: keys[rand.IntN(n)], Value: make([]byte, 100)}}})
				}
				entries[i] = e.Finish(0)
			}
			b.ReportAllocs()
			runtime.GC()
			settle(b)
			began := cputime.Used()
			for b.Loop() {
				index++
				if _, err := s.Apply(index, 1, entries[index%64]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cputime.Used()-began)/float64(b.N*puts), "cpu-ns/put")
			b.ReportMetric(float64(b.N)*puts/b.Elapsed().Seconds(), "puts/s")
		})
	}
}

// BenchmarkGet reads random keys from GOMAXPROCS goroutines. At hand the key is in
// the processor's cache already, as one is that has just been read from a request;
// otherwise finding the key to ask for costs two cache misses of its own.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{4096, 1_000_000} {
		b.Run(fmt.Sprint("keys=", n), func(b *testing.B) {
			s, keys := filled(b, n)
			benchGets(b, s, func(r *rand.Rand) func() string {
				return func() string { return keys[r.IntN(n)] }
			})
		})
		b.Run(fmt.Sprint("athand/keys=", n), func(b *testing.B) {
			s, keys := filled(b, n)
			rand.Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
			all, size := strings.Join(keys, ""), len(keys[0])
			benchGets(b, s, func(r *rand.Rand) func() string {
				i := r.IntN(n)
				return func() string {
					i = (i + 1) % n
					return all[i*size : i*size+size]
				}
			})
		})
	}
}

func filled(b *testing.B, n int) (*kv.State, []string) {
	s := kv.NewState(kv.StateOptions{Presize: n})
	keys := benchKeys(n)
	fill(b, s, keys, 100)
	runtime.GC()
	settle(b)
	return s, keys
}

// settle moves the heap to huge pages, as a server does.
func settle(b *testing.B) {
	if os.Getenv("KEYWATCH_HUGE") == "off" {
		return
	}
	if err := new(hugepages.Keeper).Move(); err != nil && !errors.Is(err, hugepages.ErrNotSupported) {
		b.Log(err)
	}
}

// benchGets reads what next, made for each goroutine, returns.
func benchGets(b *testing.B, s *kv.State, next func(*rand.Rand) func() string) {
	began := cputime.Used()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		key := next(rand.New(rand.NewPCG(rand.Uint64(), 1)))
		for pb.Next() {
			if e, _ := s.Get(key()); e == nil {
				b.Error("absent")
				return
			}
		}
	})
	b.ReportMetric(float64(cputime.Used()-began)/float64(b.N), "cpu-ns/get")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
}

// BenchmarkMemory reports the heap that a key of a million takes beyond the
// bytes of key and value.
func BenchmarkMemory(b *testing.B) {
	const n, size = 1_000_000, 100
	keys := benchKeys(n)
	for b.Loop() {
		before := heap()
		s := kv.NewState(kv.StateOptions{Presize: n})
		fill(b, s, keys, size)
		commit(b, s)
		b.ReportMetric(float64(heap()-before)/n-float64(len(keys[0])+size), "bytes/key")
		runtime.KeepAlive(s)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// commit has the state forget what is dirty, as a checkpoint does.
func commit(b *testing.B, s *kv.State) {
	c, err := s.Freeze()
	if err != nil {
		b.Fatal(err)
	}
	c.Commit()
}

// BenchmarkLoad loads a million records of 100 bytes that lie in memory,
// parsing included.
func BenchmarkLoad(b *testing.B) {
	const n = 1_000_000
	s := kv.NewState(kv.StateOptions{Presize: n})
	fill(b, s, benchKeys(n), 100)
	c, err := s.Freeze()
	if err != nil {
		b.Fatal(err)
	}
	var disk []byte
	var places []kv.Locator
	for r := range c.Records() {
		start := len(disk)
		disk = r.AppendTo(append(disk, 0, 0, 0, 0))
		binary.LittleEndian.PutUint32(disk[start:], uint32(len(disk)-start-4))
		places = append(places, r.Locator())
	}
	meta := c.Meta()
	c.Commit()
	for b.Loop() {
		load(b, meta, places, disk)
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "records/s")
}

func load(b *testing.B, meta kv.Meta, places []kv.Locator, disk []byte) {
	l := kv.NewState(kv.StateOptions{Presize: len(places)}).Load(meta)
	for _, at := range places {
		size := binary.LittleEndian.Uint32(disk)
		r, err := kv.ParseRecord(at, disk[4:4+size])
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := l.Add(r); err != nil {
			b.Fatal(err)
		}
		disk = disk[4+size:]
	}
	if err := l.Done(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSnapshot opens, reads and closes a snapshot of a million keys.
func BenchmarkSnapshot(b *testing.B) {
	s := kv.NewState(kv.StateOptions{Presize: 1_000_000})
	keys := benchKeys(1_000_000)
	fill(b, s, keys, 10)
	for b.Loop() {
		n, err := s.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		for range n.Scan("bench/05", "bench/0500000") {
			break
		}
		n.Close()
	}
}

// BenchmarkSnapshotGet reads random keys of a million from one snapshot.
func BenchmarkSnapshotGet(b *testing.B) {
	s, keys := filled(b, 1_000_000)
	n, err := s.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	began := cputime.Used()
	b.ReportAllocs()
	for b.Loop() {
		if n.Get(keys[rand.IntN(len(keys))]) == nil {
			b.Fatal("absent")
		}
	}
	b.ReportMetric(float64(cputime.Used()-began)/float64(b.N), "cpu-ns/get")
}

// BenchmarkCloseSnapshot closes a snapshot for which 200,000 versions are kept, which were
// replaced since. It holds the apply lock for 512 of them at a time.
func BenchmarkCloseSnapshot(b *testing.B) {
	s := kv.NewState(kv.StateOptions{Presize: 1})
	ops := make([]kv.Op, 200_000)
	for i := range ops {
		ops[i] = kv.Op{Kind: kv.OpPut, Key: fmt.Sprint("k", i)}
	}
	entry := kv.EncodeEntry(0, &kv.Command{Ops: ops})
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
	again := kv.EncodeEntry(0, &kv.Command{Ops: ops})
	index := uint64(1)
	if _, err := s.Apply(index, 1, entry); err != nil {
		b.Fatal(err)
	}
	var held time.Duration
	for b.Loop() {
		n, err := s.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		index++
		if _, err := s.Apply(index, 1, again); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		n.Close()
		held += time.Since(began)
	}
	b.ReportMetric(float64(held.Nanoseconds())/float64(b.N), "ns/close")
}
