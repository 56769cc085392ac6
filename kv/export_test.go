package kv

import (
	"iter"
	"reflect"
	"unsafe"

	"keywatch/kv/heap"
)

// FieldsLostByEviction returns the names of an entry's fields that a copy of it
// with another value does not have.
func FieldsLostByEviction() (lost []string) {
	changed := map[string]bool{"prev": true, "size": true, "cached": true, "tier": true, "cold": true}
	e := new(Entry)
	v := reflect.ValueOf(e).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if changed[v.Type().Field(i).Name] {
			continue
		}
		b := unsafe.Slice((*byte)(unsafe.Pointer(f.UnsafeAddr())), f.Type().Size())
		b[0] = 1
	}
	c := reflect.ValueOf(e.with("", TierDisk, true)).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if changed[name] {
			continue
		}
		size := v.Field(i).Type().Size()
		was := string(unsafe.Slice((*byte)(unsafe.Pointer(v.Field(i).UnsafeAddr())), size))
		is := string(unsafe.Slice((*byte)(unsafe.Pointer(c.Field(i).UnsafeAddr())), size))
		if was != is {
			lost = append(lost, name)
		}
	}
	return lost
}

// HashBadly has an empty state give nearly all keys the same hash.
func (s *State) HashBadly() {
	s.table.hash = func(key string) uint64 { return uint64(len(key) % 2) }
}

// AppendOutcome and ParseOutcome write and read what an idempotency record keeps of a
// result.
func AppendOutcome(r *Result) []byte { return appendOutcome(nil, r) }

// ParseOutcome reports whether b is an outcome.
func ParseOutcome(b []byte) (r Result, ok bool) {
	d := decoder{b: b}
	d.outcome(&r)
	return r, !d.bad && len(d.b) == 0
}

// LockStep is how many things a step may look at while it holds the apply lock.
const LockStep = lockStep

// Copied returns how many leases the checkpoint has copied.
func (c *Checkpoint) Copied() (n int) {
	for _, chunk := range c.leases.chunks {
		n += len(chunk)
	}
	return n
}

// Going returns how many forgotten keys the checkpoint has not looked at.
func (c *Checkpoint) Going() int { return len(c.state.mu.dirty.going) }

// The steps of a checkpoint.
func (c *Checkpoint) LeaseSteps() iter.Seq[int]  { return c.leaseSteps() }
func (c *Checkpoint) SettleSteps() iter.Seq[int] { return c.settleSteps() }
func (c *Checkpoint) LetGoSteps() iter.Seq[int]  { return c.letGoSteps() }
func (c *Checkpoint) RedoSteps() iter.Seq[int]   { return c.redoSteps() }

// QueueWork returns how many places the queue for a lock keeps, and how many of them are
// looked at to find who gets the lock next.
func (s *State) QueueWork(name string) (kept, looked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.mu.locks.queues[name]
	if q == nil {
		return 0, 0
	}
	for p := q.first; p != nil; p = p.behind {
		kept++
	}
	from := q.next
	sl, _ := s.mu.locks.next(name, &s.mu.machine)
	for p := from; p != nil && p.slot != sl; p = p.behind {
		looked++
	}
	return kept, looked
}

// CountLeaseMoves has a state without leases count how often one is moved among their
// deadlines.
func (s *State) CountLeaseMoves() *int {
	n := new(int)
	s.mu.leases.heap = heap.New(leaseEnd.before, func(e leaseEnd, at int) { e.lease.at, *n = at, *n+1 })
	return n
}

// KeptVersions returns how many versions are linked for snapshots, closing ones included.
func (s *State) KeptVersions() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.mu.snaps.open {
		n += len(v.kept) + len(v.cold)
	}
	return n
}

// PinnedWork returns how many versions are looked at for cold ones that snapshots see.
func (s *State) PinnedWork() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.mu.snaps.open {
		n += len(v.cold)
	}
	return n
}

// PrefixWork returns how many slots a deletion by prefix looks at.
func (s *State) PrefixWork(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.under(prefix, func(*slot) bool { n++; return true })
	return n
}
