package kv

import "github.com/tidwall/btree"

// indexDegree is the branching of ordered trees.
const indexDegree = 32

const (
	// slotNodeBytes is about what a slot takes in the nodes of an index, pathBytes what
	// those nodes take that are copied if one slot is put into an index that has a copy.
	slotNodeBytes, pathBytes = 16, 1536
	// nearby is how many slots apart two may be that are assumed to be in one node.
	nearby = indexDegree / 4
)

// An index is the slots in order of key. Copies cost nothing: what they share is
// copied when it is changed. It holds slots only, whose keys lie in them, so that
// keys are not held twice.
type index struct{ *btree.BTreeG[*slot] }

func newIndex() index {
	less := func(a, b *slot) bool { return a.key() < b.key() }
	return index{btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: indexDegree})}
}

// copy returns a copy that may be read while x is changed.
func (x index) copy() index { return index{x.Copy()} }

// find returns the slot of key, nil if there is none.
func (x index) find(key string) *slot {
	sl, _ := x.Get(newSlot(key))
	return sl
}

// from calls yield for the slots from key on, in order, until it returns false.
func (x index) from(key string, yield func(*slot) bool) { x.Ascend(newSlot(key), yield) }

// bytes returns about what the nodes take, the slots not counted.
func (x index) bytes() int64 { return pathBytes + int64(x.Len())*slotNodeBytes }

// near reports whether hardly any slots lie between a and b, which may have left the index.
func (x index) near(a, b *slot) bool {
	if a.key() > b.key() {
		a, b = b, a
	}
	steps, reached := 0, true
	x.Ascend(a, func(sl *slot) bool {
		steps++
		reached = sl.key() >= b.key()
		return !reached && steps < nearby
	})
	return reached
}
