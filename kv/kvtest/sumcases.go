package kvtest

import (
	"errors"
	"math"
	"strings"
	"time"

	"keywatch/kv"
)

// tooLong is a key's value that is no number, and that need not be in memory.
var tooLong = strings.Repeat("1", 100)

func addCounts(s *suite) {
	add := func(by int64) Answer { return s.do(&kv.Command{Ops: []kv.Op{Add("n", by)}}) }
	first := add(5)
	s.same("first", first, Answer{Outcome: kv.Committed, Rev: first.Rev, Ops: []OpAnswer{{Rev: first.Rev, Version: 1, Created: true, Sum: "5"}}})
	second := add(-7)
	s.same("second", second.Ops, []OpAnswer{{Rev: second.Rev, Version: 2, Sum: "-2"}})
	s.value("n", "-2")
	all := s.do(&kv.Command{Ops: []kv.Op{Add("n", math.MaxInt64), Put("other", "x"), Get("n")}})
	s.same("in a batch", all.Ops[0].Sum, "9223372036854775805")
	s.same("seen by what comes after", all.Ops[2].Found.Value, "9223372036854775805")
	s.same("overflow", add(3), Answer{Outcome: kv.OpFailed})
	for _, v := range []string{"", "x", " 1", "01", "1.5", "9223372036854775808", tooLong} {
		s.put("n", v)
		got := s.do(&kv.Command{Ops: []kv.Op{Put("other", "y"), Add("n", 1)}})
		s.same("adding to "+v, got, Answer{Outcome: kv.OpFailed, Failed: 1})
		s.value("n", v)
	}
	s.value("other", "x")
}

func addKeepsTTL(s *suite) {
	op := Put("n", "1")
	op.TTL = time.Hour
	s.do(&kv.Command{Ops: []kv.Op{op}})
	s.do(&kv.Command{Ops: []kv.Op{Add("n", 1)}})
	s.same("has a TTL", s.get("n").TTL, true)
}

func touchChangesTTL(s *suite) {
	absent := s.do(&kv.Command{Ops: []kv.Op{Touch("a", time.Hour)}})
	s.same("absent key", absent, Answer{Outcome: kv.Committed, Ops: []OpAnswer{{}}})
	for _, value := range []string{"", "short", tooLong} {
		put := s.put("a", value)
		did := s.do(&kv.Command{Ops: []kv.Op{Touch("a", time.Hour)}})
		s.same("touch", did.Ops, []OpAnswer{{Rev: did.Rev, Version: put.Version + 1}})
		got := s.get("a")
		s.same("value", got.Value, value)
		s.same("has a TTL", got.TTL, true)
		s.do(&kv.Command{Ops: []kv.Op{Touch("a", 0)}})
		s.same("has none any more", s.get("a").TTL, false)
	}
	bad := &kv.Command{Ops: []kv.Op{Touch("a", kv.MaxTTL+time.Millisecond)}}
	if _, err := s.store.Do(s.Context(), bad); !errors.Is(err, kv.ErrBadTTL) && !errors.Is(err, errors.ErrUnsupported) {
		s.Errorf("a TTL that is too long: got %v, want %v", err, kv.ErrBadTTL)
	}
}

func otherValue(s *suite) {
	put := func(not string) Answer {
		return s.do(&kv.Command{Checks: []kv.Check{{Kind: kv.CheckValueNot, Key: "a", Value: []byte(not)}}, Ops: []kv.Op{Put("a", "1")}})
	}
	s.same("absent key", put("1").Outcome, kv.Committed)
	s.same("the value that it has", put("1"), Answer{Outcome: kv.CheckFailed, Current: s.get("a")})
	s.same("another value", put("2").Outcome, kv.Committed)
}
