package kv

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// A leaseCopy is the leases of one moment, in no order. Each is copied before it changes
// for the first time after that moment, or when a checkpoint reaches it. It belongs to
// the holder of the apply lock until all are copied.
type leaseCopy struct {
	number uint32
	// chunks have room for lockStep leases each: none is copied again to make room.
	chunks [][]leaseRecord
}

// add copies l, unless it is there or began later.
func (c *leaseCopy) add(l *lease) {
	if l.copied == c.number {
		return
	}
	l.copied = c.number
	n := len(c.chunks)
	if n == 0 || len(c.chunks[n-1]) == lockStep {
		c.chunks = append(c.chunks, make([]leaseRecord, 0, lockStep))
		n++
	}
	c.chunks[n-1] = append(c.chunks[n-1], leaseRecord{l.id, l.caller, l.lock, l.owner, l.ttl, l.hold, l.deadline})
}

// copyFrom begins a copy of the leases as they are now. It costs the same however many
// there are.
func (t *leaseTable) copyFrom() *leaseCopy {
	t.copies++
	t.copying = &leaseCopy{number: t.copies}
	return t.copying
}

// changing is called before l changes or ends.
func (t *leaseTable) changing(l *lease) {
	t.changes++
	if t.copying != nil {
		t.copying.add(l)
	}
}

// leaseSteps copies the leases that have not changed since the checkpoint was begun. A
// lease that ends meanwhile was copied before; one that begins is not the checkpoint's.
func (c *Checkpoint) leaseSteps() iter.Seq[int] {
	return steps(c.state, func() iter.Seq2[LeaseID, *lease] { return maps.All(c.state.mu.leases.byID) },
		func(_ LeaseID, l *lease) { c.leases.add(l) })
}

// Leases ranges over the leases that lived at the checkpoint's revision, in order
// of name: all of them, whether they have changed or not. The bytes are valid
// until the next iteration.
func (c *Checkpoint) Leases() iter.Seq2[LeaseID, []byte] {
	run(c.leaseSteps())
	all := slices.Concat(c.leases.chunks...)
	slices.SortFunc(all, func(a, b leaseRecord) int {
		return cmp.Compare(string(a.id[:]), string(b.id[:]))
	})
	return func(yield func(LeaseID, []byte) bool) {
		var b []byte
		for i := range all {
			b = all[i].appendTo(b[:0])
			if !yield(all[i].id, b) {
				return
			}
		}
	}
}
