package kv

import "unsafe"

// A tailed is a head with what belongs to it behind it in one allocation: an
// entry with its value, or a slot with its key. That costs neither a header to
// find it by nor an allocation of its own, and who reads the head finds the rest
// in the same or the next cache line. What would make it larger than inlineMax
// is elsewhere: its tail is a string then.
type tailed[H, T any] struct {
	head H
	tail T
}

// inlineMax is the largest size in bytes of a tailed with its bytes inside.
const inlineMax = 512

func newTailed[H, T any]() *H { return &new(tailed[H, T]).head }

// sizeStep returns which size a thing of n bytes, at most inlineMax, is given: 64
// bytes, then in steps of 16 to 256 and of 32 to 512. These are the sizes of Go's
// allocator, so nothing is wasted twice.
func sizeStep(n uintptr) int {
	switch {
	case n <= 64:
		return 0
	case n <= 256:
		return int(n-64+15) / 16
	}
	return 12 + int(n-256+31)/32
}

// entryMakers make entries with room for a value, by sizeStep.
var entryMakers = [...]func() *Entry{
	newTailed[Entry, [8]byte], newTailed[Entry, [24]byte], newTailed[Entry, [40]byte],
	newTailed[Entry, [56]byte], newTailed[Entry, [72]byte], newTailed[Entry, [88]byte],
	newTailed[Entry, [104]byte], newTailed[Entry, [120]byte], newTailed[Entry, [136]byte],
	newTailed[Entry, [152]byte], newTailed[Entry, [168]byte], newTailed[Entry, [184]byte],
	newTailed[Entry, [200]byte],
	newTailed[Entry, [232]byte], newTailed[Entry, [264]byte], newTailed[Entry, [296]byte],
	newTailed[Entry, [328]byte], newTailed[Entry, [360]byte], newTailed[Entry, [392]byte],
	newTailed[Entry, [424]byte], newTailed[Entry, [456]byte],
}

// slotMakers make slots with room for a key, by sizeStep.
var slotMakers = [...]func() *slot{
	newTailed[slot, [16]byte], newTailed[slot, [32]byte], newTailed[slot, [48]byte],
	newTailed[slot, [64]byte], newTailed[slot, [80]byte], newTailed[slot, [96]byte],
	newTailed[slot, [112]byte], newTailed[slot, [128]byte], newTailed[slot, [144]byte],
	newTailed[slot, [160]byte], newTailed[slot, [176]byte], newTailed[slot, [192]byte],
	newTailed[slot, [208]byte],
	newTailed[slot, [240]byte], newTailed[slot, [272]byte], newTailed[slot, [304]byte],
	newTailed[slot, [336]byte], newTailed[slot, [368]byte], newTailed[slot, [400]byte],
	newTailed[slot, [432]byte], newTailed[slot, [464]byte],
}

// The sizes that the tables above were made for; a change fails to compile.
var (
	_ [56]byte = [unsafe.Sizeof(Entry{})]byte{}
	_ [48]byte = [unsafe.Sizeof(slot{})]byte{}
)

// newEntry returns an entry that has value and nothing else. It copies value if
// that is short, and else keeps it.
func newEntry(value string) *Entry {
	n := unsafe.Sizeof(Entry{}) + uintptr(len(value))
	if n > inlineMax {
		e := &tailed[Entry, string]{tail: value}
		e.head.size = len(value)
		return &e.head
	}
	e := entryMakers[sizeStep(n)]()
	e.size = len(value)
	copy(unsafe.Slice(e.inside(), len(value)), value)
	return e
}

// copyEntry is newEntry, and keeps nothing of value.
func copyEntry(value []byte) *Entry {
	if unsafe.Sizeof(Entry{})+uintptr(len(value)) > inlineMax {
		return newEntry(string(value))
	}
	return newEntry(unsafe.String(unsafe.SliceData(value), len(value)))
}

// inside returns where a value is that is not far.
func (e *Entry) inside() *byte {
	return (*byte)(unsafe.Add(unsafe.Pointer(e), unsafe.Sizeof(*e)))
}

// data returns the value or, if e is cold, what is left of it: see coldForm.
func (e *Entry) data() string {
	switch {
	case e.size == 0:
		return "" // there may be nothing behind it
	case unsafe.Sizeof(*e)+uintptr(e.size) > inlineMax:
		return (*tailed[Entry, string])(unsafe.Pointer(e)).tail
	}
	return unsafe.String(e.inside(), e.size)
}

// newSlot returns a slot without a version. It keeps nothing of key.
func newSlot(key string) *slot {
	n := unsafe.Sizeof(slot{}) + uintptr(len(key))
	if n > inlineMax {
		s := &tailed[slot, string]{tail: string([]byte(key))}
		return &s.head
	}
	s := slotMakers[sizeStep(n)]()
	s.keyLen = uint16(len(key))
	copy(unsafe.Slice(s.inside(), len(key)), key)
	return s
}

func (s *slot) inside() *byte {
	return (*byte)(unsafe.Add(unsafe.Pointer(s), unsafe.Sizeof(*s)))
}

// key returns the slot's key, which is behind it.
func (s *slot) key() string {
	if s.keyLen == 0 {
		return (*tailed[slot, string])(unsafe.Pointer(s)).tail
	}
	return unsafe.String(s.inside(), s.keyLen)
}
