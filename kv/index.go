package kv

import "github.com/tidwall/btree"

// indexDegree is the branching of ordered trees.
const indexDegree = 32

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
