package persist_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"keywatch/kv"
)

// leaseCommand returns a random request about a lease or lock, or a write that
// names one.
func (p *play) leaseCommand() *kv.Command {
	p.leases++
	id, old := leaseID(p.leases), leaseID(1+p.rng.IntN(p.leases))
	name := fmt.Sprint("lock-", p.rng.IntN(2))
	ttl := time.Duration(500+p.rng.IntN(4000)) * time.Millisecond
	switch p.rng.IntN(8) {
	case 0, 1:
		return &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id, TTL: ttl, Caller: "c"}}
	case 2:
		return &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: old}}
	case 3:
		return &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseRevoke, ID: old}}
	case 4, 5:
		return &kv.Command{Lock: &kv.LockCommand{
			Kind: kv.LockAcquire, Name: name, ID: id, TTL: ttl, WaitTTL: 2 * time.Second, Owner: "o", Caller: "d",
		}}
	case 6:
		return &kv.Command{Lock: &kv.LockCommand{Kind: kv.LockBreak, Name: name}}
	}
	c := put(p.key(), "leased", 0)
	for id := range p.leases { // one that lives, if there is one
		if info, ok := p.state.Lease(leaseID(id + 1)); ok {
			c.Ops[0].Lease = info.ID
		}
	}
	return c
}

func leaseID(n int) (id kv.LeaseID) {
	binary.LittleEndian.PutUint64(id[:], uint64(n)*0x9e3779b97f4a7c15)
	return id
}

// dumpLease shows the lease of an entry.
func dumpLease(s *kv.State, e *kv.Entry) string {
	if e.Lease() == (kv.LeaseID{}) {
		return ""
	}
	info, ok := s.Lease(e.Lease())
	return fmt.Sprintf("lease %+v %v", info, ok)
}

// If this failed, a restart would end leases early or late, or forget who holds a
// lock and who waits for it.
func TestLeasesSurviveRestart(t *testing.T) {
	for _, how := range []string{"log", "checkpoint", "checkpoint and log", "compaction"} {
		r := newRig(t, quick())
		r.time = 5000
		grant := func(n int, ttl time.Duration) {
			r.do(&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: leaseID(n), TTL: ttl}})
		}
		lock := func(n int) {
			r.do(&kv.Command{Lock: &kv.LockCommand{
				Kind: kv.LockAcquire, Name: "l", ID: leaseID(n), TTL: 3 * time.Second, WaitTTL: 9 * time.Second, Owner: fmt.Sprint(n),
			}})
		}
		grant(1, 10*time.Second)
		grant(2, 20*time.Second)
		r.do(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "k", Lease: leaseID(1)}}})
		for n := range 3 {
			lock(10 + n)
		}
		if how != "log" {
			r.mustCheckpoint()
			r.trimLog()
		}
		if how == "compaction" {
			if err := r.db.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if how != "checkpoint" {
			r.time += 1000
			r.do(&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: leaseID(2)}})
		}
		want := dump(t, r.state, true)
		r.reopen()
		equal(t, how, dump(t, r.state, true), want)
		if info, ok := r.state.Lease(leaseID(1)); !ok || info.Deadline != 15_000 || info.Keys != 1 {
			t.Errorf("%s: lease: got %+v %v, want its deadline at 15000 and one key", how, info, ok)
		}
		// The holder's lease ends first; the lock goes to the next in line.
		r.time = 8001
		r.do()
		holder := r.state.Lock("l", 9)
		if holder.Holder == nil || holder.Holder.Value() != "11" || len(holder.Queue) != 1 {
			t.Errorf("%s: the lock went to %+v, want 11, with 12 waiting", how, holder)
		}
		r.time = 15_001
		r.do()
		if e, _ := r.state.Get("k"); e != nil {
			t.Errorf("%s: the key outlived its lease", how)
		}
		r.db.Close(false)
	}
}

// If this failed, what a checkpoint wrote of leases would stay in the file for
// good.
func TestOldLeasesAreTrimmed(t *testing.T) {
	r := newRig(t, quick())
	var sizes []int64
	for i := range 8 {
		for n := range 300 {
			r.do(&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: leaseID(i*300 + n + 1), TTL: time.Hour}})
		}
		r.mustCheckpoint()
		for n := range 300 {
			r.do(&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseRevoke, ID: leaseID(i*300 + n + 1)}})
		}
		r.mustCheckpoint()
		sizes = append(sizes, r.db.Stats().FileBytes)
	}
	if slices.Max(sizes[4:]) > 2*sizes[3] {
		t.Errorf("the file grows with leases that have ended: %d", sizes)
	}
	r.db.Close(true)
}
