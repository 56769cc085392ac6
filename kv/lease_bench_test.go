package kv_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"keywatch/kv"
)

// BenchmarkKeepalive applies entries of 256 renewals, of 100,000 leases that are
// renewed in turn, at the pace at which each is renewed every 5 s.
func BenchmarkKeepalive(b *testing.B) {
	const leases, batch, every = 100_000, 256, 5000
	s := kv.NewState(kv.StateOptions{Presize: 1})
	id := func(i int) (id kv.LeaseID) {
		binary.LittleEndian.PutUint64(id[:], uint64(i)+1)
		return id
	}
	var e kv.EntryBuilder
	for i := range leases {
		e.Add(&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id(i), TTL: 15 * time.Second}})
	}
	if _, err := s.Apply(1, 1, e.Finish(0)); err != nil {
		b.Fatal(err)
	}
	index, next, now := uint64(1), 0, float64(0)
	b.ReportAllocs()
	for b.Loop() {
		e.Reset(nil)
		for range batch {
			e.Add(&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id(next)}})
			next = (next + 1) % leases
		}
		index++
		now += every * float64(batch) / leases
		if _, err := s.Apply(index, 1, e.Finish(int64(now))); err != nil {
			b.Fatal(err)
		}
		s.NextDeadline()
	}
	if n := s.Stats().Leases; n != leases {
		b.Fatalf("%d leases live, want %d", n, leases)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/renewal")
}

// BenchmarkFreezeLeases begins a checkpoint of 200,000 leases: for so long
// nothing is applied. The checkpoint is given up each time, which is not counted.
func BenchmarkFreezeLeases(b *testing.B) {
	benchmarkFreeze(b, manyLeases(b, 200_000))
}

// BenchmarkFreezeForgotten begins a checkpoint where 200,000 keys were deleted and
// forgotten since the one before, which holds their records.
func BenchmarkFreezeForgotten(b *testing.B) {
	s := kv.NewState(kv.StateOptions{Presize: 1})
	index, every := uint64(0), make([]kv.Op, 200_000)
	apply := func(kind kv.OpKind, now int64) {
		for i := range every {
			every[i] = kv.Op{Kind: kind, Key: fmt.Sprint("k", i)}
		}
		index++
		if _, err := s.Apply(index, 1, kv.EncodeEntry(now, &kv.Command{Ops: every})); err != nil {
			b.Fatal(err)
		}
	}
	apply(kv.OpPut, 0)
	c, err := s.Freeze()
	if err != nil {
		b.Fatal(err)
	}
	c.Commit()
	apply(kv.OpDelete, 0)
	every = every[:1]
	for i := int64(1); s.Stats().Tombstones > 1; i++ {
		apply(kv.OpDelete, 10*i*time.Hour.Milliseconds())
	}
	c, err = s.Freeze() // writes the deletions, which the next one drops
	if err != nil {
		b.Fatal(err)
	}
	c.Commit()
	benchmarkFreeze(b, s)
}

func manyLeases(b *testing.B, n int) *kv.State {
	s := kv.NewState(kv.StateOptions{Presize: 1})
	var e kv.EntryBuilder
	for i := range n {
		var id kv.LeaseID
		binary.LittleEndian.PutUint64(id[:], uint64(i)+1)
		e.Add(&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id, TTL: time.Hour}})
	}
	if _, err := s.Apply(1, 1, e.Finish(0)); err != nil {
		b.Fatal(err)
	}
	return s
}

func benchmarkFreeze(b *testing.B, s *kv.State) {
	var held time.Duration
	for b.Loop() {
		began := time.Now()
		c, err := s.Freeze()
		held += time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
		c.Abort()
	}
	b.ReportMetric(float64(held.Nanoseconds())/float64(b.N), "ns/freeze")
}

// BenchmarkLongQueue asks about a lock for which 100,000 wait. As many who stood between the
// first and the others have given up.
func BenchmarkLongQueue(b *testing.B) {
	const waiting = 100_000
	s := kv.NewState(kv.StateOptions{Presize: 1})
	var e kv.EntryBuilder
	add := func(kind kv.LockKind, i int) {
		var id kv.LeaseID
		binary.LittleEndian.PutUint64(id[:], uint64(i)+1)
		e.Add(&kv.Command{Lock: &kv.LockCommand{
			Kind: kind, Name: "l", ID: id, TTL: time.Hour, WaitTTL: time.Hour, Caller: fmt.Sprint(i % 10),
		}})
	}
	for i := range 2*waiting + 1 {
		add(kv.LockAcquire, i)
	}
	for i := range waiting - 1 {
		add(kv.LockGiveUp, i+2)
	}
	if _, err := s.Apply(1, 1, e.Finish(0)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if i := s.Lock("l", 100); i.Waiting < waiting || len(i.Queue) != 100 {
			b.Fatalf("%d wait, %d are shown", i.Waiting, len(i.Queue))
		}
	}
}

// BenchmarkKeepaliveOutOfOrder is BenchmarkKeepalive of 200,000 leases that are renewed in
// another order each time, and tells the longest that an entry of 256 renewals took.
func BenchmarkKeepaliveOutOfOrder(b *testing.B) {
	const leases, batch = 200_000, 256
	s := manyLeases(b, leases)
	r := rand.New(rand.NewPCG(1, 2))
	var longest time.Duration
	var e kv.EntryBuilder
	index, now := uint64(1), int64(0)
	for b.Loop() { // a round of renewals
		order := r.Perm(leases)
		now += 5000
		for len(order) > 0 {
			n := min(batch, len(order))
			e.Reset(nil)
			for _, i := range order[:n] {
				var id kv.LeaseID
				binary.LittleEndian.PutUint64(id[:], uint64(i)+1)
				e.Add(&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}})
			}
			order = order[n:]
			index++
			began := time.Now()
			if _, err := s.Apply(index, 1, e.Finish(now)); err != nil {
				b.Fatal(err)
			}
			s.NextDeadline()
			longest = max(longest, time.Since(began))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*leases), "ns/renewal")
	b.ReportMetric(float64(longest.Nanoseconds()), "ns/longest")
}
