package kv_test

import (
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// acquire has lease i hold the lock l, or wait for it for a minute.
func acquire(i int) *kv.Command {
	return &kv.Command{Lock: &kv.LockCommand{
		Kind: kv.LockAcquire, Name: "l", ID: leaseOf(i), TTL: time.Hour, WaitTTL: time.Minute, Owner: "o",
	}}
}

func giveUp(i int) *kv.Command {
	return &kv.Command{Lock: &kv.LockCommand{Kind: kv.LockGiveUp, Name: "l", ID: leaseOf(i)}}
}

// If this failed, who asks about a lock for which thousands waited, or gives up a wait, would
// hold every write up while those that are gone are walked past.
func TestQueueKeepsNoPlaceThatIsGone(t *testing.T) {
	s := newStepper(t)
	for i := range many {
		s.apply(acquire(i))
	}
	for i := 2; i < many-1; i++ {
		s.apply(giveUp(i))
		if kept, _ := s.QueueWork("l"); kept != many-i {
			t.Fatalf("%d places are kept after %d gave up, want %d", kept, i-1, many-i)
		}
	}
	info := s.Lock("l", 10)
	if info.Waiting != 2 || len(info.Queue) != 2 || info.Queue[0].Since != 2 || info.Queue[1].Since != many {
		t.Errorf("got %d waiting and %+v, want those of revisions 2 and %d", info.Waiting, info.Queue, many)
	}
	if info = s.Lock("l", 1); len(info.Queue) != 1 || info.Waiting != 2 {
		t.Errorf("got %d of %d, want 1 of 2", len(info.Queue), info.Waiting)
	}
	s.apply(giveUp(1), giveUp(many-1), acquire(many))
	if info = s.Lock("l", 10); info.Waiting != 1 || len(info.Queue) != 1 {
		t.Errorf("after all gave up and one came: %+v, want one that waits", info)
	}
}

// If this failed, each release of a lock would walk past all whose time to wait is over, which
// end a thousand to an entry only.
func TestQueueLooksOnceAtThoseWhoseTimeIsOver(t *testing.T) {
	s := newStepper(t)
	setup := kv.EntryBuilder{}
	setup.AddSetup(kv.Setup{Params: kv.Params{ExpireMax: 1}})
	s.index++
	if _, err := s.Apply(s.index, 1, setup.Finish(0)); err != nil {
		t.Fatal(err)
	}
	for i := range many {
		s.apply(acquire(i))
	}
	release := &kv.Command{Lock: &kv.LockCommand{Kind: kv.LockBreak, Name: "l"}}
	s.now = 2 * time.Minute.Milliseconds()
	if s.apply(); s.Stats().LockWaiters < many-10 {
		t.Fatalf("%d wait, want nearly all of %d: the test tests nothing", s.Stats().LockWaiters, many)
	}
	s.apply(release)
	if s.Lock("l", 1).Holder != nil {
		t.Error("one whose time was over has got the lock")
	}
	if kept, looked := s.QueueWork("l"); kept < many-10 || looked != 0 {
		t.Errorf("%d of %d are looked at again, want none", looked, kept)
	}
	s.apply(acquire(many), acquire(many+1), acquire(many+2), release)
	if kept, looked := s.QueueWork("l"); kept < many-10 || looked != 0 {
		t.Errorf("%d of %d are looked at before the next, want none", looked, kept)
	}
	if info := s.Lock("l", 1); info.Lease.ID != leaseOf(many+1) {
		t.Errorf("the lock is held by %v, want %v", info.Lease.ID, leaseOf(many+1))
	}
}

// If this failed, a deletion by prefix would hold every write up while it walks past all locks
// and all who wait for one; or it would delete some of those, or not what comes after them.
func TestPrefixDeletionSkipsLocks(t *testing.T) {
	s := newStepper(t)
	for i := range many {
		s.apply(acquire(i))
	}
	keys := []string{"a", "l", "lock", "locks", "locks-", "locks.x", "locks0", "locks1/x", "m"}
	for _, key := range keys {
		s.apply(&kv.Command{Ops: []kv.Op{kvtest.Put(key, "")}})
	}
	for prefix, want := range map[string]int{"": len(keys), "l": 7, "locks": 5, "locks0": 1, "locks1/": 1, "m": 1, "n": 0, "locks/": 0} {
		if got := s.PrefixWork(prefix); got != want {
			t.Errorf("a deletion of %q looks at %d keys, want %d", prefix, got, want)
		}
	}
	all := ""
	s.apply(&kv.Command{Prefix: &all})
	if got := s.Stats().Keys; got != many {
		t.Errorf("%d keys are left, want the %d of the lock", got, many)
	}
}
