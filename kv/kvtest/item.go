package kvtest

import (
	"fmt"
	"time"

	"keywatch/kv"
)

// An Item is one version of a key as plain, comparable data.
type Item struct {
	Key         string
	Value       string
	Mod, Create kv.Rev
	Version     uint64
	// Deadline is in milliseconds of log time; of a tombstone it is the time of
	// the deletion.
	Deadline int64
	// Lease is what the key is attached to.
	Lease kv.LeaseID
	// Cause is empty for a value, else why the key was deleted.
	Cause string
}

// A Result is a kv.Result as plain data.
type Result struct {
	Outcome        kv.Outcome
	Rev            kv.Rev
	Failed         int
	Current        *Item
	CurrentNoValue bool
	Deleted        int
	Referred       int
	ReferredBytes  int64
	Lease          *kv.LeaseInfo
	Why            kv.OpError
	Ops            []OpResult
	Parts          []PartResult
	At             kv.Position
	Time           int64
	Replayed       bool
}

// An OpResult is a kv.OpResult as plain data. Item is nil if nothing was found.
type OpResult struct {
	Item    *Item
	NoValue bool
	Why     kv.OpError
}

// A PartResult is a kv.PartResult as plain data, with Current as far as it counts.
type PartResult struct {
	Outcome kv.Outcome
	Failed  int
	Current *Item
	Ops     []OpResult
}

// An Event is a kv.Event as plain data.
type Event struct {
	Item
	Time int64
	Last bool
}

// ItemOf returns e, which may be nil, as plain data.
func ItemOf(key string, e *kv.Entry) *Item {
	if e == nil {
		return nil
	}
	return &Item{
		Key: key, Value: e.Value(), Mod: e.Mod, Create: e.Create, Version: e.Version,
		Deadline: e.Deadline(), Lease: e.Lease(), Cause: e.Cause(),
	}
}

// ResultOf returns r, the result of c, as plain data.
func ResultOf(c *kv.Command, r kv.Result) Result {
	out := Result{
		Outcome: r.Outcome, Rev: r.Rev, Failed: r.Failed, CurrentNoValue: r.CurrentNoValue,
		Deleted: r.Deleted, Lease: r.Lease, At: r.At, Time: r.Time, Replayed: r.Replayed,
		Referred: r.Referred, ReferredBytes: r.ReferredBytes, Why: r.Why,
	}
	if r.Current != nil {
		out.Current = ItemOf(failedKey(c, r.Outcome, r.Failed), r.Current)
	}
	out.Ops = opsOf(branch(c, r.Outcome), r.Ops)
	for i, p := range r.Parts {
		part := PartResult{Outcome: p.Outcome, Failed: p.Failed}
		if e := p.Current; e != nil {
			part.Current = &Item{Mod: e.Mod, Create: e.Create, Version: e.Version}
		}
		ops := c.Parts[i].Ops
		if p.Outcome == kv.ElseRan {
			ops = c.Parts[i].Else
		}
		part.Ops = opsOf(ops, p.Ops)
		out.Parts = append(out.Parts, part)
	}
	return out
}

func opsOf(ops []kv.Op, results []kv.OpResult) (out []OpResult) {
	for i, did := range results {
		out = append(out, OpResult{ItemOf(ops[i].Key, did.Entry), did.NoValue, did.Why})
	}
	return out
}

// branch returns the operations that an outcome ran.
func branch(c *kv.Command, o kv.Outcome) []kv.Op {
	if o == kv.ElseRan {
		return c.Else
	}
	return c.Ops
}

// failedKey returns the key that the i-th fence or check is about.
func failedKey(c *kv.Command, o kv.Outcome, i int) string {
	if o != kv.FenceLost && c.Lock != nil {
		return kv.LockKey(c.Lock.Name)
	}
	if o == kv.FenceLost {
		return kv.ReservedPrefix + c.Fences[i].Lock
	}
	return c.Checks[i].Key
}

// EventsOf returns events as plain data.
func EventsOf(events []kv.Event) (out []Event) {
	for _, ev := range events {
		out = append(out, Event{*ItemOf(ev.Key, ev.Entry), ev.Time, ev.Last})
	}
	return out
}

// millis returns d in milliseconds, rounded up.
func millis(d time.Duration) int64 {
	ms := d.Milliseconds()
	if d > time.Duration(ms)*time.Millisecond {
		ms++
	}
	return ms
}

func (it *Item) String() string {
	if it == nil {
		return "absent"
	}
	return fmt.Sprintf("%+v", *it)
}
