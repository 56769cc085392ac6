package kv_test

import (
	"errors"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// If a reference let go of the key's lease, the key would outlive it; if moving
// the value of a lock were possible, no client could be told who holds it while the
// store is away.
func TestReferenceStaysOnItsLease(t *testing.T) {
	events := new(recorder)
	s := kv.NewState(kv.StateOptions{Presize: 16, Publisher: events})
	index := uint64(0)
	apply := func(now int64, c ...*kv.Command) []kv.Result {
		t.Helper()
		index++
		*events = recorder{}
		results, err := s.Apply(index, 1, kv.EncodeEntry(now, c...))
		if err != nil {
			t.Fatal(err)
		}
		return results
	}
	id := kv.LeaseID{5}
	leased := kvtest.Put("k", "value")
	leased.Lease = id
	apply(100,
		&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id, TTL: time.Second}},
		&kv.Command{Ops: []kv.Op{leased}},
		&kv.Command{Lock: &kv.LockCommand{Kind: kv.LockAcquire, Name: "l", ID: kv.LeaseID{6}, TTL: time.Hour, Owner: "me"}},
	)
	if r := apply(100, &kv.Command{Refer: referTo("k", "value", 1)})[0]; r.Referred != 1 || r.Rev != 3 || len(events.events) != 0 {
		t.Errorf("reference: got %+v and %v, want one value moved and no event", r, events.events)
	}
	if r := apply(100, &kv.Command{Refer: referTo(kv.LockKey("l"), "me", 2)})[0]; r.Referred != 0 {
		t.Errorf("reference of a lock: got %+v, want none", r)
	}
	if i := s.Lock("l", 1); i.Holder == nil || i.Holder.Cold() || i.Holder.Value() != "me" {
		t.Errorf("holder: got %+v", i.Holder)
	}
	if e, _ := s.Get("k"); !e.Cold() || e.Tier() != kv.TierObject || e.Lease() != id || e.Mod != 1 {
		t.Errorf("reference: got %+v, want it on its lease", e)
	}
	if info, ok := s.Lease(id); !ok || info.Keys != 1 {
		t.Errorf("lease: got %+v, want it to have a key", info)
	}
	apply(1200)
	if len(events.events) != 1 || events.events[0].Key != "k" || events.events[0].Cause != "lease" {
		t.Errorf("end of the lease: got %+v", events.events)
	}
	if e, _ := s.Get("k"); e != nil || len(s.Segments()) != 0 {
		t.Errorf("after the lease: got %+v, segments %v", e, s.Segments())
	}
}

// What is more than references, or none, must be refused before it is logged.
func TestBadReferencesAreRefused(t *testing.T) {
	prefix, good := "a", referTo("k", "v", 1)
	if c := (&kv.Command{Refer: good}); c.Validate(kv.Limits{}) != nil || c.ReadOnly() {
		t.Errorf("got %v, read only %v", c.Validate(kv.Limits{}), c.ReadOnly())
	}
	for i, c := range []*kv.Command{
		{Refer: &kv.Refer{}},
		{Refer: &kv.Refer{Refs: make([]kv.Ref, kv.MaxRefs+1)}},
		{Refer: good, Ops: []kv.Op{kvtest.Get("a")}},
		{Refer: good, HasElse: true},
		{Refer: good, Prefix: &prefix},
		{Refer: good, Fences: []kv.Fence{{Lock: "l", Token: 1}}},
		{Refer: good, Idem: kv.Idem{Key: "k"}},
		{Refer: good, Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: kv.LeaseID{1}}},
		{Refer: good, Lock: &kv.LockCommand{Kind: kv.LockBreak, Name: "l"}},
	} {
		if err := c.Validate(kv.Limits{}); !errors.Is(err, kv.ErrBadCommand) {
			t.Errorf("command %d: got %v, want %v", i, err, kv.ErrBadCommand)
		}
	}
}
