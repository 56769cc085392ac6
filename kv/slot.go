package kv

import "sync/atomic"

// A slot is the place of one key in the map and the index; the key is behind
// it: see newSlot. cur is its newest version, published or not; what is durable
// belongs to the one checkpoint writer, the rest to the holder of the apply lock.
type slot struct {
	cur atomic.Pointer[Entry]
	// newer and older are the neighbours in the list that access names; they
	// belong to the holder of residents' lock.
	newer, older *slot
	// durableRev and durableOrdinal are the Locator of the durable record.
	durableRev     Rev
	durableOrdinal uint32
	// dirty is the number of the checkpoint that will write this slot.
	dirty uint32
	// access says how often the key was read of late, and in which list it is.
	access access
	// keyLen is the length of the key in bytes, 0 if it does not lie inside.
	keyLen uint16
}

// A Locator names the durable record of one version: its revision and its
// place within that revision. The zero Locator is none.
type Locator struct {
	Rev     Rev
	Ordinal uint32
}

// durable returns the durable record that the slot names.
func (s *slot) durable() Locator { return Locator{s.durableRev, s.durableOrdinal} }

func (s *slot) setDurable(at Locator) { s.durableRev, s.durableOrdinal = at.Rev, at.Ordinal }

// at returns the newest version at or before rev, nil if there is none. walked
// is true when a newer version was met: unless a snapshot holds rev, the answer
// then counts only if nothing was published meanwhile, because publishing
// unlinks.
func (s *slot) at(rev Rev) (e *Entry, walked bool) {
	e = s.cur.Load()
	for e != nil && e.Mod > rev {
		e, walked = e.prev.Load(), true
	}
	return e, walked
}
