package kv_test

import (
	"errors"
	"strings"
	"testing"

	"keywatch/kv"
)

// If this failed, a server would forget with a checkpoint who the others are, or a server that is alone
// would write what the release before cannot read.
func TestRosterIsKept(t *testing.T) {
	s := kv.NewState(kv.StateOptions{Presize: 1})
	var b kv.EntryBuilder
	b.AddRoster(`{"level":3}`)
	before := s.Position()
	if r, err := s.Apply(1, 1, b.Finish(9)); err != nil || len(r) != 1 || r[0].Outcome != kv.Committed {
		t.Fatalf("got %+v, %v", r, err)
	}
	if s.Roster() != `{"level":3}` || s.Position() != before {
		t.Errorf("roster %q at %v, want it at %v: no key has changed", s.Roster(), s.Position(), before)
	}
	cp, err := s.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	meta := cp.Meta()
	cp.Abort()
	got, err := kv.ParseMeta(meta.AppendTo(nil))
	if err != nil || got != meta || got.Roster != `{"level":3}` {
		t.Errorf("meta: got %+v, %v, want %+v", got, err, meta)
	}
	if v := meta.AppendTo(nil)[0]; v != 4 {
		t.Errorf("version %d, want one that the releases before refuse", v)
	}
	body := b.Commands()
	if _, err := kv.CheckCommands(body, 1, kv.Limits{}); !errors.Is(err, kv.ErrBadEntry) {
		t.Errorf("another server proposes a roster: got %v", err)
	}
	var large kv.EntryBuilder
	large.AddRoster(strings.Repeat("x", kv.MaxRoster+1))
	if _, err := s.Apply(2, 1, large.Finish(9)); !errors.Is(err, kv.ErrBadEntry) {
		t.Errorf("a large roster: got %v", err)
	}
}
