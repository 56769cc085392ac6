package kv_test

import (
	"encoding/binary"
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

// BenchmarkFreezeLeases begins a checkpoint of 100,000 leases: for so long
// nothing is applied.
func BenchmarkFreezeLeases(b *testing.B) {
	s := kv.NewState(kv.StateOptions{Presize: 1})
	var e kv.EntryBuilder
	for i := range 100_000 {
		var id kv.LeaseID
		binary.LittleEndian.PutUint64(id[:], uint64(i)+1)
		e.Add(&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id, TTL: time.Hour}})
	}
	if _, err := s.Apply(1, 1, e.Finish(0)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c, err := s.Freeze()
		if err != nil {
			b.Fatal(err)
		}
		c.Abort()
	}
}
