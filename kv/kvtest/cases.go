package kvtest

import (
	"time"

	"keywatch/kv"
)

func putMakesVersions(s *suite) {
	first := s.put("a", "1")
	s.same("first put", first, OpAnswer{Rev: first.Rev, Version: 1, Created: true})
	second := s.put("a", "2")
	s.same("second put", second, OpAnswer{Rev: second.Rev, Version: 2})
	if second.Rev <= first.Rev {
		s.Errorf("revisions: got %d after %d, want ascending", second.Rev, first.Rev)
	}
	s.same("get", s.get("a"), &Found{Key: "a", Value: "2", Rev: second.Rev, Create: first.Rev, Version: 2})
}

func deleteEndsAKey(s *suite) {
	absent := s.do(&kv.Command{Ops: []kv.Op{Delete("a")}})
	s.same("deleting nothing", absent, Answer{Outcome: kv.Committed, Ops: []OpAnswer{{}}})
	first := s.put("a", "1")
	gone := s.do(&kv.Command{Ops: []kv.Op{Delete("a")}})
	s.same("deletion", gone.Ops[0].Deleted, true)
	if gone.Rev <= first.Rev {
		s.Errorf("revision of the deletion: got %d, want more than %d", gone.Rev, first.Rev)
	}
	s.same("get", s.get("a"), (*Found)(nil))
	again := s.put("a", "2")
	s.same("put again", again, OpAnswer{Rev: again.Rev, Version: 1, Created: true})
	s.same("create revision", s.get("a").Create, again.Rev)
}

func anyBytesAreAValue(s *suite) {
	for _, v := range []string{"", "\x00", "\xff\xfe", "é\n", "{\"a\":1}"} {
		s.put("k/é %+", v)
		got := s.get("k/é %+")
		if got == nil || got.Value != v {
			s.Errorf("value: got %+v, want %q", got, v)
		}
	}
}

func compareByRevision(s *suite) {
	first := s.put("a", "1")
	swap := func(rev kv.Rev, value string) Answer {
		return s.do(&kv.Command{Checks: []kv.Check{Revision("a", rev)}, Ops: []kv.Op{Put("a", value)}})
	}
	s.same("swap", swap(first.Rev, "2").Outcome, kv.Committed)
	now := s.get("a")
	s.same("stale swap", swap(first.Rev, "3"), Answer{Outcome: kv.CheckFailed, Current: now})
	s.same("revision of another epoch", swap(kv.Rev(kv.NeverRev), "3"), Answer{Outcome: kv.CheckFailed, Current: now})
	s.same("creating what exists", swap(0, "3"), Answer{Outcome: kv.CheckFailed, Current: now})
	s.value("a", "2")
	s.do(&kv.Command{Ops: []kv.Op{Delete("a")}})
	s.same("swap of a deleted key", swap(now.Rev, "3"), Answer{Outcome: kv.CheckFailed})
	s.same("creating what was deleted", swap(0, "3").Outcome, kv.Committed)
}

func compareByValue(s *suite) {
	swap := func(old, value string) Answer {
		return s.do(&kv.Command{Checks: []kv.Check{Value("a", old)}, Ops: []kv.Op{Put("a", value)}})
	}
	s.same("absent key", swap("", "x"), Answer{Outcome: kv.CheckFailed})
	s.put("a", "1")
	s.same("other value", swap("2", "x"), Answer{Outcome: kv.CheckFailed, Current: s.get("a")})
	s.same("same value", swap("1", "2").Outcome, kv.Committed)
	s.value("a", "2")
}

func compareByTheRest(s *suite) {
	first := s.put("a", "1")
	s.put("a", "2")
	for _, c := range []struct {
		check kv.Check
		want  kv.Outcome
	}{
		{kv.Check{Kind: kv.CheckCreate, Key: "a", N: uint64(first.Rev)}, kv.Committed},
		{kv.Check{Kind: kv.CheckCreate, Key: "a", N: uint64(first.Rev) + 1}, kv.CheckFailed},
		{kv.Check{Kind: kv.CheckVersion, Key: "a", N: 2}, kv.Committed},
		{kv.Check{Kind: kv.CheckVersion, Key: "a", N: 1}, kv.CheckFailed},
		{kv.Check{Kind: kv.CheckVersion, Key: "none", N: 0}, kv.Committed},
		{kv.Check{Kind: kv.CheckExists, Key: "a", N: 1}, kv.Committed},
		{kv.Check{Kind: kv.CheckExists, Key: "a", N: 0}, kv.CheckFailed},
		{kv.Check{Kind: kv.CheckExists, Key: "none", N: 0}, kv.Committed},
		{kv.Check{Kind: kv.CheckExists, Key: "none", N: 1}, kv.CheckFailed},
	} {
		got := s.do(&kv.Command{Checks: []kv.Check{c.check}, Ops: []kv.Op{Put("other", "x")}})
		if got.Outcome != c.want {
			s.Errorf("%+v: got outcome %d, want %d", c.check, got.Outcome, c.want)
		}
	}
}

func failedCheckChangesNothing(s *suite) {
	rev := s.put("a", "1").Rev
	s.put("b", "1")
	got := s.do(&kv.Command{
		Checks: []kv.Check{Revision("a", rev), Revision("b", rev), Revision("c", 0)},
		Ops:    []kv.Op{Put("a", "2"), Delete("b"), Put("c", "2")},
	})
	s.same("answer", got, Answer{Outcome: kv.CheckFailed, Failed: 1, Current: s.get("b")})
	s.value("a", "1")
	s.value("b", "1")
	s.value("c", "")
}

func elseRunsInstead(s *suite) {
	s.put("a", "1")
	c := &kv.Command{
		Checks: []kv.Check{Value("a", "1")}, Ops: []kv.Op{Put("a", "2")},
		HasElse: true, Else: []kv.Op{Get("a"), Put("b", "else")},
	}
	s.same("outcome", s.do(c).Outcome, kv.Committed)
	s.value("b", "")
	a := s.get("a")
	got := s.do(c)
	s.same("else", got, Answer{
		Outcome: kv.ElseRan, Rev: got.Rev, Current: a,
		Ops: []OpAnswer{{Found: a}, {Rev: got.Rev, Version: 1, Created: true}},
	})
	s.value("a", "2")
	s.value("b", "else")
	c.Else = nil
	s.same("empty else", s.do(c), Answer{Outcome: kv.ElseRan, Current: a})
}

func batchIsOneRevision(s *suite) {
	s.put("old", "1")
	got := s.do(&kv.Command{Ops: []kv.Op{
		Get("a"), Put("a", "1"), Get("a"), Delete("old"), Get("old"), Delete("none"), Put("b", "2"),
	}})
	made := &Found{Key: "a", Value: "1", Rev: got.Rev, Create: got.Rev, Version: 1}
	put := OpAnswer{Rev: got.Rev, Version: 1, Created: true}
	s.same("answer", got, Answer{
		Outcome: kv.Committed, Rev: got.Rev,
		Ops: []OpAnswer{{}, put, {Found: made}, {Deleted: true}, {}, {}, put},
	})
	s.same("a", s.get("a"), made)
	s.same("revision of b", s.get("b").Rev, got.Rev)
}

func getsTakeNoRevision(s *suite) {
	s.put("a", "1")
	before := s.get("a")
	c := &kv.Command{Checks: []kv.Check{Value("a", "1")}, Ops: []kv.Op{Get("a"), Get("b")}}
	want := Answer{Outcome: kv.Committed, Ops: []OpAnswer{{Found: before}, {}}}
	s.same("answer", s.do(c), want)
	got := s.do(&kv.Command{Checks: []kv.Check{Value("a", "2")}, Ops: []kv.Op{Get("a")}})
	s.same("failed", got, Answer{Outcome: kv.CheckFailed, Current: before})
	if next := s.put("b", "1"); next.Rev != before.Rev+1 {
		s.Errorf("next revision: got %d, want %d", next.Rev, before.Rev+1)
	}
	s.do(&kv.Command{Ops: []kv.Op{Delete("b")}})
	c.HasElse, c.Else = true, []kv.Op{Get("b")}
	s.same("answer, with else", s.do(c), want)
	if next := s.put("b", "1"); next.Rev != before.Rev+3 {
		s.Errorf("next revision after that: got %d, want %d", next.Rev, before.Rev+3)
	}
}

func fenceWithoutLock(s *suite) {
	c := &kv.Command{Fences: []kv.Fence{{Lock: "deploy", Token: 3}}, Ops: []kv.Op{Put("a", "1")}}
	s.same("answer", s.do(c), Answer{Outcome: kv.FenceLost})
	s.value("a", "")
	c.HasElse, c.Else = true, []kv.Op{Put("a", "2")}
	s.same("answer, with else", s.do(c), Answer{Outcome: kv.FenceLost})
	s.value("a", "")
}

func prefixDeletion(s *suite) {
	for _, key := range []string{"a", "a/1", "a/2", "a0", "b"} {
		s.put(key, "x")
	}
	prefix := "a/"
	got := s.do(&kv.Command{Prefix: &prefix})
	s.same("answer", got, Answer{Outcome: kv.Committed, Rev: got.Rev, Deleted: 2})
	var keys []string
	for _, f := range s.list("") {
		keys = append(keys, f.Key)
	}
	s.same("keys left", keys, []string{"a", "a0", "b"})
	s.same("again", s.do(&kv.Command{Prefix: &prefix}), Answer{Outcome: kv.Committed})
}

func listIsInOrder(s *suite) {
	for _, key := range []string{"b", "a/b", "a", "é", "a/a", "a0", "B"} {
		s.put(key, "v"+key)
	}
	var want []Found
	for _, key := range []string{"a/a", "a/b"} {
		want = append(want, *s.get(key))
	}
	s.same("list of a/", s.list("a/"), want)
	var keys []string
	for _, f := range s.list("") {
		keys = append(keys, f.Key)
	}
	s.same("all keys", keys, []string{"B", "a", "a/a", "a/b", "a0", "b", "é"})
	s.same("nothing", len(s.list("none/")), 0)
}

func ttlIsSetKeptRemoved(s *suite) {
	put := func(ttl time.Duration) bool {
		op := Put("a", "1")
		op.TTL = ttl
		s.do(&kv.Command{Ops: []kv.Op{op}})
		return s.get("a").TTL
	}
	s.same("keep without one", put(kv.KeepTTL), false)
	s.same("set", put(time.Hour), true)
	s.same("keep", put(kv.KeepTTL), true)
	s.same("a plain put removes it", put(0), false)
}

func repeatedRequestRunsOnce(s *suite) {
	c := &kv.Command{
		Ops:  []kv.Op{Put("a", "1"), Get("a")},
		Idem: kv.Idem{Caller: "me", Key: "k-1", Fingerprint: [16]byte{1}},
	}
	first := s.do(c)
	again := s.do(c)
	want := first
	want.Replayed = true
	s.same("replay", again, want)
	s.same("version", s.get("a").Version, uint64(1))
	c.Ops[0] = Put("a", "2")
	c.Idem.Fingerprint = [16]byte{2}
	s.same("another request under the same key", s.do(c).Outcome, kv.IdemMismatch)
	s.value("a", "1")

	c.Idem.Fingerprint, c.Ops[0], c.Idem.Caller = [16]byte{1}, Put("a", "1"), "me from elsewhere"
	s.same("the same request from another address", s.do(c), want)

	failed := &kv.Command{
		Checks: []kv.Check{Revision("a", 0)}, Ops: []kv.Op{Put("a", "3")},
		Idem: kv.Idem{Caller: "me", Key: "k-2", Fingerprint: [16]byte{3}},
	}
	s.same("failed check", s.do(failed).Outcome, kv.CheckFailed)
	s.do(&kv.Command{Ops: []kv.Op{Delete("a")}})
	got := s.do(failed)
	s.same("its replay, now that it would hold", got.Outcome, kv.CheckFailed)
	s.same("is a replay", got.Replayed, true)
	s.value("a", "")
}
