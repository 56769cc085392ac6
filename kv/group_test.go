package kv_test

import (
	"errors"
	"slices"
	"testing"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// bodyOf returns the encoded commands.
func bodyOf(commands ...*kv.Command) []byte {
	var b kv.EntryBuilder
	for _, c := range commands {
		b.Add(c)
	}
	return slices.Clone(b.Commands())
}

// An entry of several servers must do what the commands do one after the other, and say whose they
// are.
func TestGroupedEntry(t *testing.T) {
	put := func(key string) *kv.Command { return &kv.Command{Ops: []kv.Op{kvtest.Put(key, "v")}} }
	groups := []kv.Group{{Origin: 1 << 63, Seq: 7, Commands: 2}, {Origin: 5, Seq: 300, Commands: 0}, {Origin: 9, Seq: 1, Commands: 1}}
	entry := kv.AppendGrouped(nil, 42, groups, [][]byte{bodyOf(put("a"), put("b")), nil, bodyOf(put("a"))})
	got, err := kv.Groups(entry, nil)
	if err != nil || !slices.Equal(got, groups) {
		t.Errorf("groups: got %v, %v, want %v", got, err, groups)
	}
	s := kv.NewState(kv.StateOptions{Presize: 64})
	results, err := s.Apply(1, 1, entry)
	if err != nil || len(results) != 3 || s.Time() != 42 {
		t.Fatalf("apply: got %d results, %v at %d, want 3 at 42", len(results), err, s.Time())
	}
	if e, _ := s.Get("a"); e == nil || e.Version != 2 {
		t.Errorf("a: got %v, want version 2", e)
	}
	if got, err := kv.Groups(kv.EncodeEntry(1, put("a")), nil); got != nil || err != nil {
		t.Errorf("groups of an entry without: got %v, %v", got, err)
	}
	for n := range entry {
		if _, err := kv.NewState(kv.StateOptions{Presize: 1}).Apply(1, 1, entry[:n]); !errors.Is(err, kv.ErrBadEntry) {
			t.Errorf("the first %d bytes: got %v, want %v", n, err, kv.ErrBadEntry)
		}
	}
	groups[1].Commands = 1 // more than there are
	if _, err := kv.Groups(kv.AppendGrouped(nil, 1, groups, nil)[:20], nil); !errors.Is(err, kv.ErrBadEntry) {
		t.Errorf("groups that are cut: got %v", err)
	}
}

// What another server sends must be whole and valid before it is logged: a command that some apply
// and others refuse would stop them all, for ever.
func TestCommandsOfOthersAreChecked(t *testing.T) {
	good := &kv.Command{Ops: []kv.Op{kvtest.Put("a", "v")}}
	body := bodyOf(good, good)
	if _, err := kv.CheckCommands(body, 2, kv.Limits{}); err != nil {
		t.Errorf("two good commands: %v", err)
	}
	setup := kv.EntryBuilder{}
	setup.AddSetup(kv.Setup{Params: kv.Params{TombstoneMax: 1}})
	flags := slices.Clone(body)
	flags[1] |= 0x80
	for name, c := range map[string]struct {
		body []byte
		n    int
		want error
	}{
		"fewer than said": {body, 3, kv.ErrBadEntry},
		"more than said":  {body, 1, kv.ErrBadEntry},
		"cut":             {body[:len(body)-1], 2, kv.ErrBadEntry},
		"unknown flag":    {flags, 2, kv.ErrBadEntry},
		"settings":        {setup.Commands(), 1, kv.ErrBadEntry},
		"unknown kind":    {[]byte{99, 0}, 1, kv.ErrBadEntry},
		"value too large": {bodyOf(&kv.Command{Ops: []kv.Op{kvtest.Put("a", "long")}}), 1, kv.ErrValueTooLarge},
	} {
		if _, err := kv.CheckCommands(c.body, c.n, kv.Limits{Value: 3}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
