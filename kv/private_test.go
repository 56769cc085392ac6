package kv_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

func privatePut(name, value string) *kv.Command {
	return &kv.Command{Private: &kv.PrivateCommand{Puts: []kv.PrivateRecord{{Name: name, Value: []byte(value)}}}}
}

// run applies commands in one entry and returns their results.
func run(t *testing.T, s *kv.State, commands ...*kv.Command) []kv.Result {
	t.Helper()
	results, err := s.Apply(s.Applied()+1, 1, kv.EncodeEntry(s.Time(), commands...))
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// If this failed, a command that was allowed before a revocation would run after it, or a replay
// would show what the caller may not read any more.
func TestMovedPermissionsComeBeforeReplay(t *testing.T) {
	s := kv.NewState(kv.StateOptions{Presize: 1})
	first := run(t, s, privatePut("user/u-1", "x"))[0].Rev
	write := &kv.Command{
		Ops: []kv.Op{kvtest.Put("k", "v")}, Auth: first,
		Idem: kv.Idem{Caller: "u-1", Scope: "u-1", Key: "once"},
	}
	if r := run(t, s, write)[0]; r.Outcome != kv.Committed || r.Replayed {
		t.Fatalf("allowed: got %+v, want it to run", r)
	}
	narrow := privatePut("user/u-1", "y")
	narrow.Private.Narrow = true
	moved := run(t, s, narrow)[0].Rev
	for range 2 { // it is not kept either
		if r := run(t, s, write)[0]; r.Outcome != kv.AuthMoved || r.Replayed || r.Rev != 0 || len(r.Ops) > 0 {
			t.Errorf("after the revocation: got %+v, want AuthMoved alone", r)
		}
	}
	write.Auth = moved
	if r := run(t, s, write)[0]; !r.Replayed {
		t.Errorf("allowed anew: got %+v, want the first answer again", r)
	}
	lease := &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: kv.LeaseID{1}, TTL: 1e9}, Auth: first}
	lock := &kv.Command{Lock: &kv.LockCommand{Kind: kv.LockBreak, Name: "l"}, Auth: first}
	prefix := &kv.Command{Prefix: new(string), Auth: first}
	private := privatePut("user/u-2", "x")
	private.Auth = first
	for i, r := range run(t, s, lease, lock, prefix, private) {
		if r.Outcome != kv.AuthMoved {
			t.Errorf("command %d: got %+v, want AuthMoved", i, r)
		}
	}
}

// A visibility fails if an event is visible before its watcher knows of the change before it.
type visibility struct {
	t     *testing.T
	state *kv.State
	told  int
}

func (v *visibility) PrivateChanged(changed []kv.PrivateRecord, auth kv.Rev) {
	v.told++
	if at := v.state.Position().Rev; at >= changed[0].Rev {
		v.t.Errorf("told of revision %d when %d was visible", changed[0].Rev, at)
	}
}

func (v *visibility) PrivateReset(iter.Seq[kv.PrivateRecord], kv.Rev, kv.Epoch) {}

// If this failed, a stream could be given an event after a revocation that it does not know of.
func TestWatcherKnowsBeforeAnythingIsVisible(t *testing.T) {
	v := &visibility{t: t}
	v.state = kv.NewState(kv.StateOptions{Presize: 1, Private: v})
	for i := range 5 {
		run(t, v.state, privatePut("user/u-1", fmt.Sprint(i)), &kv.Command{Ops: []kv.Op{kvtest.Put("k", "v")}})
	}
	if v.told != 5 {
		t.Errorf("told %d times, want 5", v.told)
	}
}

// If this failed, private records could take memory without a bound, or the store could not be
// emptied once it is full.
func TestPrivateRecordsAreBounded(t *testing.T) {
	s := kv.NewState(kv.StateOptions{Presize: 1})
	value := strings.Repeat("x", kv.PrivateValueMax)
	var r kv.Result
	n := 0
	for ; r.Outcome != kv.PrivateFull && n < 2000; n++ {
		r = run(t, s, privatePut(fmt.Sprint("cred/", n), value))[0]
	}
	if r.Outcome != kv.PrivateFull || s.Memory().Private > kv.PrivateBytesMax {
		t.Fatalf("after %d records: got %+v, %d bytes", n, r, s.Memory().Private)
	}
	rev := s.Position().Rev
	if r := run(t, s, privatePut("cred/0", value[:10]))[0]; r.Outcome != kv.Committed || s.Position().Rev != rev+1 {
		t.Errorf("a smaller value: got %+v, want it to be written", r)
	}
	remove := &kv.Command{Private: &kv.PrivateCommand{Deletes: []string{"cred/1", "cred/none"}}}
	if r := run(t, s, remove)[0]; r.Outcome != kv.Committed {
		t.Errorf("a deletion: got %+v, want it to be done", r)
	}
	if _, ok := s.Private("cred/1"); ok {
		t.Error("the record is still there")
	}
}

// What is no private command must be refused, by who proposes it and by who is sent it.
func TestBadPrivateCommands(t *testing.T) {
	good := func() *kv.Command { return privatePut("user/u-1", "x") }
	prefix := "a"
	for name, change := range map[string]func(c *kv.Command){
		"no change":    func(c *kv.Command) { c.Private.Puts = nil },
		"no value":     func(c *kv.Command) { c.Private.Puts[0].Value = nil },
		"large value":  func(c *kv.Command) { c.Private.Puts[0].Value = make([]byte, kv.PrivateValueMax+1) },
		"no kind":      func(c *kv.Command) { c.Private.Puts[0].Name = "/x" },
		"no id":        func(c *kv.Command) { c.Private.Puts[0].Name = "user/" },
		"long id":      func(c *kv.Command) { c.Private.Puts[0].Name = "user/" + strings.Repeat("x", 65) },
		"bad kind":     func(c *kv.Command) { c.Private.Puts[0].Name = "User/x" },
		"bad id":       func(c *kv.Command) { c.Private.Puts[0].Name = "user/a/b" },
		"key":          func(c *kv.Command) { c.Private.Puts[0].Name = "user" },
		"twice":        func(c *kv.Command) { c.Private.Deletes = []string{"user/u-1"} },
		"bad deletion": func(c *kv.Command) { c.Private.Deletes = []string{"user/\x00"} },
		"bad check":    func(c *kv.Command) { c.Private.Checks = []kv.PrivateCheck{{Name: "x"}} },
		"operations":   func(c *kv.Command) { c.Ops = []kv.Op{kvtest.Put("k", "v")} },
		"prefix":       func(c *kv.Command) { c.Prefix = &prefix },
		"fence":        func(c *kv.Command) { c.Fences = []kv.Fence{{Lock: "l", Token: 1}} },
		"idem":         func(c *kv.Command) { c.Idem.Key = "x" },
		"lease":        func(c *kv.Command) { c.Lease = &kv.LeaseCommand{} },
	} {
		c := good()
		change(c)
		if err := c.Validate(kv.Limits{}); err == nil {
			t.Errorf("%s: got nil, want an error", name)
		}
	}
	var b kv.EntryBuilder
	b.Add(good())
	if _, err := kv.CheckCommands(b.Commands(), 1, kv.Limits{}); err != nil {
		t.Errorf("a good one that another server sends: %v", err)
	}
	bad := good()
	bad.Private.Puts[0].Name = "user"
	b.Reset(nil)
	b.Add(bad)
	if _, err := kv.CheckCommands(b.Commands(), 1, kv.Limits{}); !errors.Is(err, kv.ErrBadCommand) {
		t.Errorf("a bad one that another server sends: got %v, want %v", err, kv.ErrBadCommand)
	}
}

// If this failed, the release before could not read the log of a store that has no users.
func TestCommandsWithoutPermissionsAreWrittenAsBefore(t *testing.T) {
	plain := kv.EncodeEntry(5, &kv.Command{Ops: []kv.Op{kvtest.Put("k", "v")}})
	want := "\x02\x05\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00" + "\x01\x00\x01\x01\x01k\x00\x01v"
	if string(plain) != want {
		t.Errorf("got %q, want %q", plain, want)
	}
	allowed := kv.EncodeEntry(5, &kv.Command{Ops: []kv.Op{kvtest.Put("k", "v")}, Auth: 300})
	if n := len(allowed) - len(plain); n != 2 || bytes.Equal(plain, allowed[:len(plain)]) {
		t.Errorf("with an auth revision: got %q, want 2 bytes more", allowed)
	}
}
