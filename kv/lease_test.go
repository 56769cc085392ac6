package kv_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// leaseEntry is a log entry with every kind of command about leases and locks.
func leaseEntry() []byte {
	id, other := kv.LeaseID{1}, kv.LeaseID{2}
	leased := kvtest.Put("leased", "v")
	leased.Lease = id
	lock := func(c kv.LockCommand) *kv.Command {
		c.Name = "l"
		return &kv.Command{Lock: &c}
	}
	return kv.EncodeEntry(9,
		&kv.Command{
			Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id, TTL: time.Second, Caller: "me"},
			Idem:  kv.Idem{Caller: "me", Key: "k", Fingerprint: [16]byte{1}},
		},
		&kv.Command{Ops: []kv.Op{leased}},
		lock(kv.LockCommand{Kind: kv.LockAcquire, ID: other, TTL: time.Second, WaitTTL: time.Second, Owner: "me", Caller: "me"}),
		lock(kv.LockCommand{Kind: kv.LockKeep, Token: 2}),
		lock(kv.LockCommand{Kind: kv.LockGiveUp, ID: other}),
		lock(kv.LockCommand{Kind: kv.LockRelease, Token: 2}),
		lock(kv.LockCommand{Kind: kv.LockBreak}),
		&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}},
		&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseRevoke, ID: id}},
	)
}

// An entry that an older release wrote, without leases, must still be read.
func TestOlderEntryIsRead(t *testing.T) {
	b := kv.EncodeEntry(5, &kv.Command{Ops: []kv.Op{kvtest.Put("a", "1")}})
	if b[0] != 2 {
		t.Fatalf("entries have version %d, want 2: then this test needs another", b[0])
	}
	b[0] = 1
	s := kv.NewState(kv.StateOptions{Presize: 1})
	if _, err := s.Apply(1, 1, b); err != nil {
		t.Errorf("entry of version 1: %v", err)
	}
}

// A name must be read from its text, and nothing else may pass for one.
func TestLeaseNames(t *testing.T) {
	id := kv.NewLeaseID()
	if got, err := kv.ParseLeaseID(id.String()); err != nil || got != id {
		t.Errorf("%v: got %v, %v", id, got, err)
	}
	if other := kv.NewLeaseID(); other == id {
		t.Errorf("two names are the same: %v", id)
	}
	zero := "l-" + strings.Repeat("0", 32)
	for _, text := range []string{"", "l-", "l-1", zero, strings.ToUpper(id.String()), id.String() + "0", id.String()[2:], "l-" + strings.Repeat("g", 32)} {
		if got, err := kv.ParseLeaseID(text); !errors.Is(err, kv.ErrBadLease) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, kv.ErrBadLease)
		}
	}
}

// A lease record that is damaged, or that of another lease, must be refused, and
// so must a key whose lease is missing.
func TestDamagedLeaseIsFound(t *testing.T) {
	s := kv.NewState(kv.StateOptions{Presize: 1})
	id := kv.LeaseID{7}
	leased := kvtest.Put("k", "v")
	leased.Lease = id
	entry := kv.EncodeEntry(5, &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id, TTL: time.Hour}},
		&kv.Command{Ops: []kv.Op{leased}})
	if _, err := s.Apply(1, 1, entry); err != nil {
		t.Fatal(err)
	}
	c, err := s.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	var lease []byte
	for _, b := range c.Leases() {
		lease = bytes.Clone(b)
	}
	fresh := func() *kv.Loader { return kv.NewState(kv.StateOptions{Presize: 1}).Load(c.Meta()) }
	for i := range lease {
		damaged := bytes.Clone(lease)
		damaged[i] ^= 1
		if err := fresh().AddLease(id, damaged); !errors.Is(err, kv.ErrDamaged) {
			t.Errorf("byte %d changed: got %v, want %v", i, err, kv.ErrDamaged)
		}
		if err := fresh().AddLease(id, lease[:i]); !errors.Is(err, kv.ErrDamaged) {
			t.Errorf("cut to %d bytes: got %v, want %v", i, err, kv.ErrDamaged)
		}
	}
	if err := fresh().AddLease(kv.LeaseID{8}, lease); !errors.Is(err, kv.ErrDamaged) {
		t.Errorf("another lease's name: got %v, want %v", err, kv.ErrDamaged)
	}
	for _, there := range []bool{true, false} {
		l := fresh()
		for r := range c.Records() {
			r, err := kv.ParseRecord(r.Locator(), r.AppendTo(nil))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := l.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		if there {
			if err := errors.Join(l.AddLease(id, lease)); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Done(); errors.Is(err, kv.ErrDamaged) == there || err == nil != there {
			t.Errorf("with the lease there %v: got %v", there, err)
		}
	}
}

// Renewing must move the deadline and nothing else: no revision, no event, and
// the next deadline is exactly known, or an idle server would end leases late.
func TestRenewalMovesTheDeadline(t *testing.T) {
	s := kv.NewState(kv.StateOptions{Presize: 1})
	apply := func(index uint64, now int64, c ...*kv.Command) []kv.Result {
		results, err := s.Apply(index, 1, kv.EncodeEntry(now, c...))
		if err != nil {
			t.Fatal(err)
		}
		return results
	}
	grant := func(n byte, ttl time.Duration) *kv.Command {
		return &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: kv.LeaseID{n}, TTL: ttl}}
	}
	keep := func(n byte) *kv.Command {
		return &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: kv.LeaseID{n}}}
	}
	apply(1, 100, grant(1, 50*time.Millisecond), grant(2, 80*time.Millisecond))
	next := func(want int64) {
		t.Helper()
		if at, ok := s.NextDeadline(); at != want || !ok {
			t.Errorf("next deadline: got %d %v, want %d", at, ok, want)
		}
	}
	next(151)
	if r := apply(2, 150, keep(1)); r[0].Outcome != kv.Committed || r[0].Rev != 0 || r[0].Lease.Deadline != 200 {
		t.Errorf("renewal at its deadline: got %+v %+v", r[0], r[0].Lease)
	}
	next(181)
	if r := apply(3, 181, keep(2)); r[0].Outcome != kv.LeaseEnded {
		t.Errorf("renewal a millisecond late: got outcome %d, want %d", r[0].Outcome, kv.LeaseEnded)
	}
	next(201)
	if got := s.Stats(); got.Leases != 1 || got.LeasesExpired != 1 || s.Position().Rev != 0 {
		t.Errorf("got %+v at %v, want one lease left, one ended, no revision", got, s.Position())
	}
}

// What cannot be a lease or a lock must be refused before it is logged: the state
// machine believes what it reads.
func TestBadLeaseCommandsAreRefused(t *testing.T) {
	id, second := kv.LeaseID{1}, time.Second
	lease := func(l kv.LeaseCommand) *kv.Command { return &kv.Command{Lease: &l} }
	lock := func(l kv.LockCommand) *kv.Command { return &kv.Command{Lock: &l} }
	good := []*kv.Command{
		lease(kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id, TTL: second}),
		lease(kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}),
		lock(kv.LockCommand{Kind: kv.LockAcquire, Name: "a.b:c_d-e", ID: id, TTL: second}),
		lock(kv.LockCommand{Kind: kv.LockBreak, Name: "l"}),
	}
	for _, c := range good {
		if err := c.Validate(kv.Limits{}); err != nil || c.ReadOnly() {
			t.Errorf("%+v %+v: got %v, read only %v", c.Lease, c.Lock, err, c.ReadOnly())
		}
	}
	long := strings.Repeat("x", kv.MaxOwner+1)
	for _, c := range []struct {
		command *kv.Command
		want    error
	}{
		{lease(kv.LeaseCommand{Kind: 9, ID: id}), kv.ErrBadCommand},
		{lease(kv.LeaseCommand{Kind: kv.LeaseKeep}), kv.ErrBadCommand},
		{lease(kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id}), kv.ErrBadTTL},
		{lease(kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id, TTL: kv.MaxTTL + 1}), kv.ErrBadTTL},
		{lease(kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id, TTL: second, Caller: long}), kv.ErrBadCommand},
		{lock(kv.LockCommand{Kind: kv.LockBreak, Name: "a/b"}), kv.ErrBadCommand},
		{lock(kv.LockCommand{Kind: 0, Name: "l"}), kv.ErrBadCommand},
		{lock(kv.LockCommand{Kind: kv.LockGiveUp, Name: "l"}), kv.ErrBadCommand},
		{lock(kv.LockCommand{Kind: kv.LockAcquire, Name: "l", ID: id}), kv.ErrBadTTL},
		{lock(kv.LockCommand{Kind: kv.LockAcquire, Name: "l", ID: id, TTL: second, WaitTTL: -1}), kv.ErrBadTTL},
		{lock(kv.LockCommand{Kind: kv.LockAcquire, Name: "l", ID: id, TTL: second, Owner: "\xff"}), kv.ErrBadCommand},
		{lock(kv.LockCommand{Kind: kv.LockAcquire, Name: "l", ID: id, TTL: second, Owner: long}), kv.ErrBadCommand},
		{&kv.Command{Lease: good[0].Lease, Lock: good[2].Lock}, kv.ErrBadCommand},
		{&kv.Command{Lease: good[0].Lease, Ops: []kv.Op{kvtest.Get("a")}}, kv.ErrBadCommand},
	} {
		if err := c.command.Validate(kv.Limits{}); !errors.Is(err, c.want) {
			t.Errorf("%+v %+v: got %v, want %v", c.command.Lease, c.command.Lock, err, c.want)
		}
	}
}

// If this failed, the entry that renews the last of many leases would pay for all renewals
// before it, and every write would wait for it.
func TestEachRenewalPaysForItself(t *testing.T) {
	s := newStepper(t)
	moves := s.CountLeaseMoves()
	lease := func(kind kv.LeaseKind, i int) *kv.Command {
		return &kv.Command{Lease: &kv.LeaseCommand{Kind: kind, ID: leaseOf(i), TTL: time.Minute}}
	}
	for i := range many {
		s.apply(lease(kv.LeaseGrant, i))
	}
	s.now = 1000
	for i := many - 1; i >= 0; i-- {
		*moves = 0
		s.apply(lease(kv.LeaseKeep, i))
		s.NextDeadline()
		if *moves > 30 { // a few times the height of the heap
			t.Fatalf("the renewal of lease %d moves %d of %d", i, *moves, many)
		}
	}
	if at, ok := s.NextDeadline(); !ok || at != 61_001 {
		t.Errorf("the next deadline is %d, %v, want 61001", at, ok)
	}
}
