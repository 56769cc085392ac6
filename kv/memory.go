package kv

import "sync/atomic"

// SmallValue is the size in bytes below which a value is in memory on every server: what
// OpAdd and OpTouch do depends on such values.
const SmallValue = 64

// DefaultColdMin is the default of StateOptions.ColdMin: to forget less would
// gain nothing over what is kept in its place. Less is for tests without OpAdd and
// OpTouch.
const DefaultColdMin = SmallValue

// memory counts what a state holds, in bytes as the allocator sees them. The
// sums are changed by every goroutine that changes the state, without a common lock: each is
// exact, together they are no snapshot.
type memory struct {
	// values is what the values of newest versions take, or what cold ones keep of
	// them; table what keys and metadata take; kept what is
	// held for snapshots only; idem what idempotency records take, leases what leases
	// and those of locks do, private what private records do.
	values, table, kept, idem, leases, private atomic.Int64
	// coldKeys and coldBytes count the values of newest versions that are not in
	// memory, by tier.
	coldKeys, coldBytes [TierCount]atomic.Int64
	promotions          atomic.Uint64
	evictions           atomic.Uint64
	segments            segments
}

// cost returns what the value of e takes in memory, in bytes.
func (e *Entry) cost() int64 { return valueCost(e.size) }

// valueCost returns what a value of n bytes takes in memory, in bytes.
func valueCost(n int) int64 {
	if n == 0 {
		return 0
	}
	return int64(n + n/16 + 8)
}

// swap counts the replacement of the newest version old of a key, nil if there
// was none, by e.
func (m *memory) swap(old, e *Entry) {
	delta := e.cost()
	m.segments.add(e, 1)
	if old != nil {
		m.segments.add(old, -1)
		delta -= old.cost()
		if old.cold {
			m.coldKeys[old.tier].Add(-1)
			m.coldBytes[old.tier].Add(-int64(old.Size()))
		}
	}
	if e.cold {
		m.coldKeys[e.tier].Add(1)
		m.coldBytes[e.tier].Add(int64(e.Size()))
	}
	m.values.Add(delta)
}

// slotCost returns what a key takes beside its value, in bytes.
func slotCost(key string) int64 { return entryOverhead + int64(len(key)) }

// replaceLocked makes e the newest version in sl. It is no longer a candidate
// for eviction: the checkpoint does not hold it.
func (s *State) replaceLocked(sl *slot, e *Entry) {
	old := sl.cur.Swap(e)
	s.memory.swap(old, e)
	if old == nil {
		return
	}
	if sl.access.place() != placeNone {
		s.residents.leave(sl, old)
	}
	if !e.Deleted() && !old.Deleted() {
		sl.access.touch()
	}
}

// countLocked publishes the sums that belong to the apply lock.
func (s *State) countMemoryLocked() {
	m := &s.mu.machine
	s.memory.table.Store(m.table + int64(m.deadlines.Len())*deadlineCost)
	s.memory.leases.Store(m.leases.bytes + int64(m.locks.waiting)*placeCost)
	s.memory.kept.Store(m.snaps.kept)
	s.memory.idem.Store(m.idem.bytes)
	s.memory.private.Store(m.private.bytes)
}

// Memory is what a state holds in memory, in bytes.
type Memory struct {
	// Values is what values take, Table what keys and their metadata take, Kept
	// what is held for snapshots only, Idem what idempotency records take, Leases
	// what leases take and what locks do beside their keys, Private what private records
	// take.
	Values, Table, Kept, Idem, Leases, Private int64
	// Evictable is the part of Values that could be dropped at once.
	Evictable int64
}

// Used returns the bytes of all but the history that a hub keeps. It costs six
// atomic loads.
func (s *State) Used() int64 {
	m := &s.memory
	return m.values.Load() + m.table.Load() + m.kept.Load() + m.idem.Load() + m.leases.Load() + m.private.Load()
}

// Memory returns what the state holds in memory.
func (s *State) Memory() Memory {
	m := &s.memory
	return Memory{
		Values: m.values.Load(), Table: m.table.Load(), Kept: m.kept.Load(), Idem: m.idem.Load(), Leases: m.leases.Load(),
		Private:   m.private.Load(),
		Evictable: s.evictableBytes(),
	}
}

// TierStats are figures of the values that lie in one tier, and of the reads by
// key that found them there.
type TierStats struct {
	// Keys counts the keys that exist whose value is there, Bytes their values.
	Keys, Bytes int64
	// Reads counts the reads that were answered from there.
	Reads uint64
}

// Tiers are the figures of all tiers.
type Tiers struct {
	Tier [TierCount]TierStats
	// Promotions counts the values that a read brought back into memory, Evictions
	// those that were dropped from it.
	Promotions, Evictions uint64
}

// Tiers returns the figures of all tiers.
func (s *State) Tiers() (t Tiers) {
	m := &s.memory
	t.Promotions, t.Evictions = m.promotions.Load(), m.evictions.Load()
	s.mu.Lock()
	hot := TierStats{Keys: int64(s.mu.keys), Bytes: s.mu.bytes - s.mu.keyBytes}
	s.mu.Unlock()
	for i := range t.Tier {
		t.Tier[i] = TierStats{Keys: m.coldKeys[i].Load(), Bytes: m.coldBytes[i].Load()}
		hot.Keys -= t.Tier[i].Keys
		hot.Bytes -= t.Tier[i].Bytes
	}
	t.Tier[TierMemory] = hot
	for i := range t.Tier {
		t.Tier[i].Reads = uint64(s.reads[i].Value())
	}
	return t
}
