package kv

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// MaxRefs bounds the values that one Refer moves.
const MaxRefs = 4096

// A SegmentID names an object that holds values of this store.
type SegmentID struct {
	Store uint64
	Epoch Epoch
	Seq   uint64
}

// A Place is where the value of an entry is whose tier is TierObject: in which
// segment, and at which offset in it.
type Place struct {
	Segment SegmentID
	Offset  uint64
}

// A Ref says that a segment holds the value of one version of a key.
type Ref struct {
	Key string
	// At is the version's own revision and ordinal: it tells a key's versions
	// apart.
	At     Locator
	Offset uint64
	Size   int
	Hash   [HashSize]byte
}

// A Refer puts references in the place of values that a finished segment holds:
// the same versions, which a reader can tell only by their tier. A key that
// changed since is left alone, and so are those of locks: who holds one is always
// at hand. It takes a revision, under which the references are recorded, and makes
// no event.
type Refer struct {
	Segment SegmentID
	Refs    []Ref
}

// Validate returns nil if the references can be proposed, else an error that
// matches ErrBadCommand.
func (r *Refer) Validate() error {
	if len(r.Refs) == 0 || len(r.Refs) > MaxRefs {
		return fmt.Errorf("%w: %d references", ErrBadCommand, len(r.Refs))
	}
	return nil
}

func (c *Command) validateRefer() error {
	if c.hasOps() || c.Private != nil || c.Auth != 0 || c.Prefix != nil || c.Lease != nil || c.Lock != nil || len(c.Fences) > 0 || c.Idem != (Idem{}) {
		return fmt.Errorf("%w: references must be alone in a command", ErrBadCommand)
	}
	return c.Refer.Validate()
}

// parsePlace reads what appendPlace wrote after the locator.
func parsePlace(s string) (p Place, ok bool) {
	d := decoder{b: []byte(s)}
	p = d.place()
	return p, !d.bad && len(d.b) == 0
}

func appendPlace(b []byte, p Place) []byte {
	b = binary.LittleEndian.AppendUint64(b, p.Segment.Store)
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Segment.Epoch))
	b = binary.AppendUvarint(b, p.Segment.Seq)
	return binary.AppendUvarint(b, p.Offset)
}

func (d *decoder) place() (p Place) {
	head := d.bytes(12)
	if d.bad {
		return p
	}
	p.Segment.Store = binary.LittleEndian.Uint64(head)
	p.Segment.Epoch = Epoch(binary.LittleEndian.Uint32(head[8:]))
	p.Segment.Seq, p.Offset = d.uvarint(), d.uvarint()
	return p
}

// ObjectPlace returns where the value is that ref names; ok is false unless its
// tier is TierObject.
func (ref ColdRef) ObjectPlace() (p Place, ok bool) {
	if ref.Tier != TierObject || len(ref.Place) < recordedSize {
		return p, false
	}
	return parsePlace(ref.Place[recordedSize:])
}

// recordedSize is how many bytes of a reference tell under which locator it is
// recorded: that of the Refer, not that of the version.
const recordedSize = 12

// refer returns e as it is once its value is at p and the reference is recorded
// under at.
func (e *Entry) refer(hash []byte, size int, at Locator, p Place) *Entry {
	return e.with(referForm(hash, size, at, p), TierObject, true)
}

// referForm returns what a reference keeps of a value.
func referForm(hash []byte, size int, at Locator, p Place) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(at.Rev))
	b = binary.BigEndian.AppendUint32(b, at.Ordinal)
	return coldForm(hash, size, string(appendPlace(b, p)))
}

// referred reports whether e is a reference into a segment.
func (e *Entry) referred() bool { return e.cold && e.tier == TierObject }

// recorded returns under which locator the reference to the value of e is recorded.
func (e *Entry) recorded() Locator {
	b := e.keeps()[coldHead:]
	return Locator{
		Rev:     Rev(binary.BigEndian.Uint64([]byte(b[:8]))),
		Ordinal: binary.BigEndian.Uint32([]byte(b[8:recordedSize])),
	}
}

// Segment returns the segment that the value of e is in; ok is false if it is in none.
func (e *Entry) Segment() (id SegmentID, ok bool) {
	if !e.referred() {
		return id, false
	}
	return e.segment(), true
}

// segment returns the segment that the value of e is in.
func (e *Entry) segment() SegmentID {
	p, _ := parsePlace(e.keeps()[coldHead+recordedSize:])
	return p.Segment
}

// recordedAt returns e, a reference, as one that is recorded under at.
func (e *Entry) recordedAt(at Locator) *Entry {
	p, _ := parsePlace(e.data()[coldHead+recordedSize:])
	return e.refer([]byte(e.data()[:HashSize]), e.coldSize(), at, p)
}

// referLocked puts references in place. It always takes a revision, so that those
// after it are the same whatever a checkpoint already held.
func (s *State) referLocked(c *Refer, r *Result) {
	m := &s.mu.machine
	m.rev++
	m.silent = true
	r.Outcome, r.Rev = Committed, m.rev
	for i := range c.Refs {
		if s.referOneLocked(&c.Refs[i], c.Segment, Locator{m.rev, uint32(i)}) {
			r.Referred++
			r.ReferredBytes += int64(c.Refs[i].Size)
		}
	}
}

func (s *State) referOneLocked(ref *Ref, seg SegmentID, at Locator) bool {
	sl := s.slot(ref.Key)
	if sl == nil || strings.HasPrefix(ref.Key, ReservedPrefix) {
		return false
	}
	for {
		old := sl.cur.Load()
		if old.Deleted() || (Locator{old.Mod, old.ordinal}) != ref.At || old.Size() != ref.Size || old.hash() != ref.Hash {
			return false
		}
		e := old.refer(ref.Hash[:], ref.Size, at, Place{seg, ref.Offset})
		if old.cached || !old.cold && sl.access.hot() {
			e = e.cacheValue(old.Value()) // it moves, and is at hand all the same
		}
		if !sl.cur.CompareAndSwap(old, e) {
			continue // a reader brought it into memory, or it was evicted
		}
		s.memory.swap(old, e)
		if sl.access.place() != placeNone {
			s.residents.leave(sl, old)
		}
		if e.cached {
			s.enter(sl)
		}
		s.mu.dirty.add(sl, e.size)
		return true
	}
}

// hash returns what is kept of the value's SHA-256 when it is cold.
func (e *Entry) hash() (h [HashSize]byte) {
	if e.cold || e.cached {
		copy(h[:], e.keeps())
		return h
	}
	sum := sha256.Sum256([]byte(e.data()))
	copy(h[:], sum[:])
	return h
}

func appendRefer(b []byte, c *Refer) []byte {
	b = append(b, commandRefer)
	b = appendPlace(b, Place{Segment: c.Segment})
	b = binary.AppendUvarint(b, uint64(len(c.Refs)))
	for i := range c.Refs {
		r := &c.Refs[i]
		b = appendText(b, r.Key)
		for _, n := range [...]uint64{uint64(r.At.Rev), uint64(r.At.Ordinal), r.Offset, uint64(r.Size)} {
			b = binary.AppendUvarint(b, n)
		}
		b = append(b, r.Hash[:]...)
	}
	return b
}

// refer reads what appendRefer wrote after the kind.
func (d *decoder) refer() (c Refer) {
	c.Segment = d.place().Segment
	for range d.count() {
		r := Ref{Key: strings.Clone(d.text())}
		r.At = Locator{Rev(d.uvarint()), uint32(d.uvarint())}
		r.Offset, r.Size = d.uvarint(), int(d.uvarint())
		copy(r.Hash[:], d.bytes(HashSize))
		c.Refs = append(c.Refs, r)
	}
	return c
}
