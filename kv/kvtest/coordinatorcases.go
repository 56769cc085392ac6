package kvtest

import (
	"time"

	"keywatch/kv"
)

func keysGoTogether(s *coordination) {
	id, other := s.grant(time.Hour), s.grant(time.Hour)
	s.leased("a", id)
	s.leased("b", id)
	s.leased("c", other)
	last := s.put("d", "1")
	s.same("lease of a", s.get("a").Lease, id)
	s.same("lease of d", s.get("d").Lease, kv.LeaseID{})
	outcome(s, s.store.KeepAlive, id, kv.Committed)
	s.lives(id, true)
	outcome(s, s.store.Revoke, id, kv.Committed)
	s.lives(id, false)
	s.value("a", "")
	s.value("b", "")
	s.value("c", "v")
	if next := s.put("d", "2"); next.Rev != last.Rev+2 {
		s.Errorf("the end of the lease took revisions %d to %d, want one", last.Rev+1, next.Rev-1)
	}
	outcome(s, s.store.Revoke, other, kv.Committed)
}

func putLeavesLease(s *coordination) {
	id := s.grant(time.Hour)
	s.leased("a", id)
	s.put("a", "2")
	s.same("lease", s.get("a").Lease, kv.LeaseID{})
	outcome(s, s.store.Revoke, id, kv.Committed)
	s.value("a", "2")
}

func endedIsNotRevived(s *coordination) {
	id := s.grant(time.Hour)
	s.put("a", "1")
	outcome(s, s.store.Revoke, id, kv.Committed)
	outcome(s, s.store.KeepAlive, id, kv.LeaseEnded)
	outcome(s, s.store.Revoke, id, kv.LeaseEnded)
	op := Put("a", "2")
	op.Lease = id
	got := s.do(&kv.Command{Ops: []kv.Op{Put("b", "x"), op}})
	s.same("a write that names it", got, Answer{Outcome: kv.LeaseEnded, Failed: 1})
	s.value("a", "1")
	s.value("b", "")
	outcome(s, s.store.KeepAlive, kv.NewLeaseID(), kv.LeaseEnded)
}

func leaseEndsByItself(s *coordination) {
	const ttl = 300 * time.Millisecond
	var id kv.LeaseID
	var began time.Time
	steps := 0
	s.eventually("a key is on a lease", func() bool { // one that has not ended before, as on a busy machine it may
		began, id = time.Now(), s.grant(ttl)
		return s.leased("a", id).Outcome == kv.Committed
	})
	s.eventually("the key goes with its lease", func() bool {
		steps++
		return s.get("a") == nil
	})
	passed := time.Since(began)
	if _, still := s.store.(Passer); still {
		passed = time.Duration(steps-1) * passes
	}
	if passed < ttl {
		s.Errorf("the key lived %v, want %v at least", passed, ttl)
	}
	s.lives(id, false)
	outcome(s, s.store.KeepAlive, id, kv.LeaseEnded)
}

func lockIsAKey(s *coordination) {
	me := s.acquire("me", 0, kv.Committed)
	key := s.get(kv.LockKey("l"))
	s.same("the holder's key", key, &Found{
		Key: kv.LockKey("l"), Value: "me", Rev: me.Token, Create: me.Token, Version: 1, Lease: me.Lease, TTL: key != nil && key.TTL,
	})
	s.acquire("you", 0, kv.LockHeld)
	s.acquire("you", time.Millisecond, kv.LockHeld)
	queue, err := s.store.Queue(s.Context(), "l")
	if err != nil || len(queue) != 0 {
		s.Errorf("queue: got %v, %v, want nobody", queue, err)
	}
	outcome(s, ofToken(s.store.Unlock), me.Token, kv.Committed)
	s.same("the key after", s.get(kv.LockKey("l")), (*Found)(nil))
	if you := s.acquire("you", 0, kv.Committed); you.Token <= me.Token {
		s.Errorf("the token went from %d to %d, want it to grow", me.Token, you.Token)
	}
}

func queueKeepsOrder(s *coordination) {
	first := s.acquire("first", 0, kv.Committed)
	turns := s.line("second", "third", "fourth")
	last := first.Token
	for _, owner := range []string{"second", "third", "fourth"} {
		outcome(s, ofToken(s.store.Unlock), last, kv.Committed)
		t := s.next(turns, owner)
		if t.Token <= last {
			s.Errorf("%s: token %d after %d, want it to grow", owner, t.Token, last)
		}
		s.value(kv.LockKey("l"), owner)
		last = t.Token
	}
	outcome(s, ofToken(s.store.Unlock), last, kv.Committed)
	s.value(kv.LockKey("l"), "")
}

func fenceHolds(s *coordination) {
	me := s.acquire("me", 0, kv.Committed)
	write := func(token kv.Rev, value string) kv.Outcome {
		return s.do(&kv.Command{
			Fences: []kv.Fence{{Lock: "l", Token: token}}, Checks: []kv.Check{{Kind: kv.CheckExists, Key: "none"}},
			Ops: []kv.Op{Put("a", value)}, HasElse: true, Else: []kv.Op{Put("a", "else")},
		}).Outcome
	}
	s.same("held", write(me.Token, "1"), kv.Committed)
	s.same("another token", write(me.Token+1, "2"), kv.FenceLost)
	s.value("a", "1")
	outcome(s, ofToken(s.store.Unlock), me.Token, kv.Committed)
	s.same("released", write(me.Token, "2"), kv.FenceLost)
	you := s.acquire("you", 0, kv.Committed)
	s.same("somebody else's", write(me.Token, "2"), kv.FenceLost)
	s.value("a", "1")
	s.same("the new holder's", write(you.Token, "3"), kv.Committed)
	s.value("a", "3")
	check := kv.Check{Kind: kv.CheckCreate, Key: kv.LockKey("l"), N: uint64(me.Token)}
	s.same("a check", s.do(&kv.Command{Checks: []kv.Check{check}, Ops: []kv.Op{Put("a", "4")}}).Outcome, kv.CheckFailed)
}

func onlyTheToken(s *coordination) {
	me := s.acquire("me", 0, kv.Committed)
	outcome(s, ofToken(s.store.KeepLock), me.Token, kv.Committed)
	outcome(s, ofToken(s.store.KeepLock), me.Token+1, kv.LockLost)
	outcome(s, ofToken(s.store.Unlock), me.Token+1, kv.LockLost)
	s.value(kv.LockKey("l"), "me")
	outcome(s, ofToken(s.store.Unlock), me.Token, kv.Committed)
	outcome(s, ofToken(s.store.Unlock), me.Token, kv.LockLost)
	outcome(s, ofToken(s.store.KeepLock), me.Token, kv.LockLost)
}

func brokenLockGoesOn(s *coordination) {
	outcome(s, s.store.Break, "l", kv.LockFree)
	me := s.acquire("me", 0, kv.Committed)
	turns := s.line("you")
	outcome(s, s.store.Break, "l", kv.Committed)
	you := s.next(turns, "you")
	outcome(s, ofToken(s.store.KeepLock), me.Token, kv.LockLost)
	outcome(s, ofToken(s.store.Unlock), you.Token, kv.Committed)
}

func leaseFreesLock(s *coordination) {
	me := s.acquire("me", 0, kv.Committed)
	turns := s.line("you")
	outcome(s, s.store.Revoke, me.Lease, kv.Committed)
	you := s.next(turns, "you")
	outcome(s, s.store.KeepAlive, you.Lease, kv.Committed)
	outcome(s, ofToken(s.store.Unlock), you.Token, kv.Committed)
	outcome(s, s.store.KeepAlive, you.Lease, kv.LeaseEnded)
}

func prefixLeavesLocks(s *coordination) {
	me := s.acquire("me", 0, kv.Committed)
	s.put("lock", "1")
	prefix := "lo"
	got := s.do(&kv.Command{Prefix: &prefix})
	s.same("answer", got, Answer{Outcome: kv.Committed, Rev: got.Rev, Deleted: 1})
	s.value(kv.LockKey("l"), "me")
	outcome(s, ofToken(s.store.Unlock), me.Token, kv.Committed)
}
