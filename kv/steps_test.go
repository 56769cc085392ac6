package kv_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"testing"
	"time"

	"keywatch/kv"
)

// A stepper is a state of many leases and keys, and a checkpoint that is read in steps.
type stepper struct {
	*testing.T
	*kv.State
	index uint64
	now   int64
}

const many = 4*kv.LockStep + 7

func newStepper(t *testing.T) *stepper {
	return &stepper{T: t, State: kv.NewState(kv.StateOptions{Presize: 1})}
}

func (s *stepper) apply(commands ...*kv.Command) {
	s.Helper()
	s.index++
	if _, err := s.Apply(s.index, 1, kv.EncodeEntry(s.now, commands...)); err != nil {
		s.Fatal(err)
	}
}

func (s *stepper) freeze() *kv.Checkpoint {
	s.Helper()
	c, err := s.Freeze()
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// steps has each step of what look at a bounded number of things, calls between after each,
// and returns how many steps there were.
func (s *stepper) steps(what string, all iter.Seq[int], between func(step int)) (n int) {
	s.Helper()
	for looked := range all {
		if looked > kv.LockStep {
			s.Errorf("%s: a step looks at %d under the lock, want at most %d", what, looked, kv.LockStep)
		}
		between(n)
		n++
	}
	return n
}

func leaseOf(i int) (id kv.LeaseID) {
	binary.BigEndian.PutUint64(id[:], uint64(i)+1)
	return id
}

func leasesOf(c *kv.Checkpoint) map[kv.LeaseID]string {
	all := make(map[kv.LeaseID]string)
	for id, b := range c.Leases() {
		all[id] = string(bytes.Clone(b))
	}
	return all
}

// If this failed, a checkpoint would hold every write up while it copies all leases, or would
// hold some as they are later: replaying the log over them would end others than it did.
func TestCheckpointCopiesLeasesInSteps(t *testing.T) {
	s := newStepper(t)
	lease := func(kind kv.LeaseKind, i int) *kv.Command {
		return &kv.Command{Lease: &kv.LeaseCommand{Kind: kind, ID: leaseOf(i), TTL: time.Minute}}
	}
	for i := range many {
		s.apply(lease(kv.LeaseGrant, i))
	}
	for i := range 9 { // one has the lock, the others wait
		s.apply(&kv.Command{Lock: &kv.LockCommand{
			Kind: kv.LockAcquire, Name: "l", ID: leaseOf(2*many + i), TTL: time.Hour, WaitTTL: 2 * time.Hour,
		}})
	}
	c := s.freeze()
	want := leasesOf(c)
	c.Abort()
	if len(want) != many+9 {
		t.Fatalf("%d leases, want %d", len(want), many+9)
	}
	c = s.freeze()
	defer c.Abort()
	if n := c.Copied(); n != 0 {
		t.Errorf("%d leases were copied while the checkpoint was begun, want 0", n)
	}
	s.now = 1000
	n := s.steps("leases", c.LeaseSteps(), func(step int) {
		for i := step; i < many; i += 7 {
			s.apply(lease(kv.LeaseKeep, i), lease(kv.LeaseRevoke, many-1-i), lease(kv.LeaseGrant, 3*many+i*10+step))
		}
		s.apply(&kv.Command{Lock: &kv.LockCommand{Kind: kv.LockBreak, Name: "l"}})
		if step == 2 {
			s.now += time.Hour.Milliseconds() // all but those of locks end
		}
	})
	if n < 2 {
		t.Errorf("%d steps, want several", n)
	}
	if got := leasesOf(c); !maps.Equal(got, want) {
		t.Errorf("the checkpoint has %d leases that are not all as they were, want %d", len(got), len(want))
	}
}

// If this failed, a checkpoint would hold every write up while it looks at all keys that were
// forgotten since the one before, or a key that returns meanwhile would lose its record.
func TestCheckpointForgetsInSteps(t *testing.T) {
	s := newStepper(t)
	name := func(i int) string { return fmt.Sprint("k", i) }
	op := func(kind kv.OpKind, i int) *kv.Command {
		return &kv.Command{Ops: []kv.Op{{Kind: kind, Key: name(i), Value: []byte("v")}}}
	}
	every := func(kind kv.OpKind) {
		for i := range many {
			s.apply(op(kind, i))
		}
	}
	commit := func() { s.freeze().Commit() }
	every(kv.OpPut)
	commit()
	every(kv.OpDelete)
	commit()
	for s.Stats().Tombstones > 0 {
		s.now += 2 * time.Hour.Milliseconds()
		s.apply()
	}
	c := s.freeze()
	if c.Going() != many {
		t.Fatalf("%d keys are to be looked at, want all %d", c.Going(), many)
	}
	s.apply(op(kv.OpPut, 1))
	n := s.steps("forgotten keys", c.SettleSteps(), func(step int) { s.apply(op(kv.OpPut, 100*step)) })
	if dropped := c.Dropped(); n < 4 || len(dropped) != many {
		t.Errorf("%d steps, %d records are dropped, want at least 4 and %d", n, len(dropped), many)
	}
	if n := s.steps("changed keys", c.RedoSteps(), func(int) {}); n != 0 {
		t.Errorf("%d steps for no changed key", n)
	}
	c.Records()
	if n := s.steps("dropped records", c.LetGoSteps(), func(int) {}); n < 4 {
		t.Errorf("%d steps, want at least 4", n)
	}
	c.Commit()
	for i := range many {
		if at := s.Durable(name(i)); at != (kv.Locator{}) {
			t.Fatalf("%s still names the record %v", name(i), at)
		}
	}
	keys := s.Stats().Keys
	c = s.freeze()
	for r, old := range c.Records() {
		keys--
		if old != (kv.Locator{}) {
			t.Errorf("%s replaces record %v, want none", r.Key, old)
		}
	}
	if keys != 0 {
		t.Errorf("%d keys that returned are not in the next checkpoint", keys)
	}
	c.Abort()
	every(kv.OpPut)
	c = s.freeze()
	if n := s.steps("changed keys", c.RedoSteps(), func(int) {}); n < 4 {
		t.Errorf("%d steps to give the changed keys to the next checkpoint, want at least 4", n)
	}
	c.Abort()
}
