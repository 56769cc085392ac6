package kvtest

import (
	"crypto/sha256"
	"strings"

	"pgregory.net/rapid"

	"keywatch/kv"
)

// runRefer moves values, which no reader can tell: but for the revision that it takes
// all is as it was.
func (m *Model) runRefer(c *kv.Refer) (r Result) {
	m.Rev++
	r.Outcome, r.Rev = kv.Committed, m.Rev
	for _, ref := range c.Refs {
		it := m.Get(ref.Key)
		if it == nil || strings.HasPrefix(it.Key, kv.ReservedPrefix) || m.refTo(it) != withoutOffset(ref) {
			continue
		}
		r.Referred++
		r.ReferredBytes += int64(len(it.Value))
	}
	return r
}

// refTo returns what names the value of it, which is the newest version of its key.
func (m *Model) refTo(it *Item) kv.Ref {
	sum := sha256.Sum256([]byte(it.Value))
	return kv.Ref{
		Key: it.Key, At: kv.Locator{Rev: it.Mod, Ordinal: m.ordinal[it.Key]},
		Size: len(it.Value), Hash: [kv.HashSize]byte(sum[:]),
	}
}

func withoutOffset(ref kv.Ref) kv.Ref {
	ref.Offset = 0
	return ref
}

// A movedValue is a reference that was drawn, and its value.
type movedValue struct {
	ref   kv.Ref
	value string
}

// Hang draws an entry that begins a lease, if there may be another, and has a key
// or two are attached to it.
func (g *Generator) Hang(t *rapid.T) []Step {
	grant := &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: g.newLease(t), TTL: g.someTTL(t), Caller: g.caller(t)}
	put := &kv.Command{}
	for _, key := range []string{"a/b", "é"} {
		if chance(t, 70, "hang "+key) {
			op := Put(key, rapid.SampledFrom(longValues).Draw(t, "value"))
			op.Lease = grant.ID
			put.Ops = append(put.Ops, op)
		}
	}
	return []Step{{Command: &kv.Command{Lease: grant}}, {Command: put}}
}

// Refer draws a command that moves values to a new segment: those of keys as they
// are, and some of versions that may be gone, as when the keys are written to
// between the upload and the reference. ok is false if there is nothing to move.
func (g *Generator) Refer(t *rapid.T) (step Step, ok bool) {
	var picked []movedValue
	taken := make(map[string]bool)
	for _, it := range g.model.Scan("", "") {
		if len(it.Value) < kv.SmallValue { // these stay where they are
			continue
		}
		if chance(t, 60, "move "+it.Key) {
			picked = append(picked, movedValue{g.model.refTo(&it), it.Value})
			taken[it.Key] = true
		}
	}
	if len(g.moved) > 0 && chance(t, 30, "move again") {
		again := rapid.SampledFrom(g.moved).Draw(t, "moved")
		if !taken[again.ref.Key] {
			picked = append(picked, again)
		}
	}
	if len(picked) == 0 {
		return step, false
	}
	return Step{Command: &kv.Command{Refer: g.pack(picked)}}, true
}

// pack puts values into a new segment.
func (g *Generator) pack(picked []movedValue) *kv.Refer {
	g.segments++
	c := &kv.Refer{Segment: kv.SegmentID{Store: 7, Epoch: g.model.Epoch, Seq: g.segments}}
	for i, v := range picked {
		v.ref.Offset = uint64(i)
		g.objects[kv.Place{Segment: c.Segment, Offset: v.ref.Offset}] = v.value
		c.Refs = append(c.Refs, v.ref)
		v.ref.Offset = 0
		g.moved = append(g.moved, v)
	}
	return c
}

// Object returns the value at a place in a segment that Refer made.
func (g *Generator) Object(p kv.Place) (value string, ok bool) {
	value, ok = g.objects[p]
	return value, ok
}

// Leased counts the references in c to keys that are attached to a lease, locks included.
func (m *Model) Leased(c *kv.Refer) (n int) {
	for _, ref := range c.Refs {
		if it := m.Get(ref.Key); it != nil && it.Lease != (kv.LeaseID{}) && m.refTo(it) == withoutOffset(ref) {
			n++
		}
	}
	return n
}
