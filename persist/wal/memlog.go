package wal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A MemLog is a Log that keeps nothing on disk, for a store that is memory only.
// It behaves as a Log does but copies no data: entries share their slices with the
// caller, who must not change them any more. It is safe for concurrent use.
type MemLog struct {
	bytes atomic.Int64 // what Bytes returns
	mu    struct {
		sync.RWMutex
		ring  []Entry // entry i is at i&(len-1); the length is a power of two
		first uint64  // index of the oldest entry, if n > 0
		kept  uint64
		n     uint64 // entries
	}
}

const (
	// leastRing is how many entries a ring has room for at least. A ring is made half as
	// long when three quarters of it are empty.
	leastRing = 1024
	// slotBytes is what an entry takes beside its data: a slot, and one that is empty.
	slotBytes = 2 * int64(unsafe.Sizeof(Entry{}))
)

func entryBytes(e *Entry) int64 { return slotBytes + int64(len(e.Data)) }

// NewMemLog returns an empty log in memory.
func NewMemLog() *MemLog { return &MemLog{} }

// Bytes returns what the entries take in memory, 0 if there are none. It costs an atomic
// load.
func (m *MemLog) Bytes() int64 { return m.bytes.Load() }

// BytesAfter returns what the entries after index take in memory.
func (m *MemLog) BytesAfter(index uint64) (n int64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.mu.n == 0 || index < m.mu.first {
		return m.Bytes()
	}
	for i := index + 1; i <= m.lastLocked(); i++ {
		n += entryBytes(m.at(i))
	}
	return n
}

// EntriesWithin returns how many of the newest entries together take at most n bytes.
func (m *MemLog) EntriesWithin(n int64) (kept uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for kept < m.mu.n {
		if n -= entryBytes(m.at(m.lastLocked() - kept)); n < 0 {
			break
		}
		kept++
	}
	return kept
}

// FirstIndex returns the index of the oldest entry, 0 if there is none.
func (m *MemLog) FirstIndex() (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.mu.n == 0 {
		return 0, nil
	}
	return m.mu.first, nil
}

// LastIndex returns the index of the newest entry, 0 if there is none.
func (m *MemLog) LastIndex() (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.lastLocked(), nil
}

func (m *MemLog) lastLocked() uint64 {
	if m.mu.n == 0 {
		return 0
	}
	return m.mu.first + m.mu.n - 1
}

// at returns the place of an entry in the ring, which is not empty.
func (m *MemLog) at(index uint64) *Entry { return slot(m.mu.ring, index) }

func slot(ring []Entry, index uint64) *Entry {
	return &ring[index&uint64(len(ring)-1)]
}

// Read copies one entry into e, sharing its slices, or returns
// ErrNotFound.
func (m *MemLog) Read(index uint64, e *Entry) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if index < m.mu.first || index-m.mu.first >= m.mu.n {
		return ErrNotFound
	}
	*e = *m.at(index)
	return nil
}

// Keep is Append that keeps commit too.
func (m *MemLog) Keep(commit uint64, entries ...*Entry) error {
	m.mu.Lock()
	m.mu.kept = max(m.mu.kept, commit)
	m.mu.Unlock()
	return m.Append(entries...)
}

// Kept returns the highest commit that Keep was given, 0 for none.
func (m *MemLog) Kept() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mu.kept
}

// Append appends entries, or returns ErrNotContiguous and appends none.
func (m *MemLog) Append(entries ...*Entry) error {
	if len(entries) == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	want := m.lastLocked() + 1
	if m.mu.n == 0 && entries[0].Index > 0 {
		want = entries[0].Index
	}
	for i, e := range entries {
		if e.Index != want+uint64(i) {
			return fmt.Errorf("%w: index %d where %d should be",
				ErrNotContiguous, e.Index, want+uint64(i))
		}
	}
	if m.mu.n == 0 {
		m.mu.first = want
	}
	m.fitLocked(m.mu.n + uint64(len(entries)))
	for _, e := range entries {
		*m.at(e.Index) = *e
		m.bytes.Add(entryBytes(e))
	}
	m.mu.n += uint64(len(entries))
	return nil
}

// fitLocked gives the ring room for n entries, which are no fewer than there are, and not
// much more.
func (m *MemLog) fitLocked(n uint64) {
	size := uint64(max(len(m.mu.ring), leastRing))
	for size < n {
		size *= 2
	}
	for size > leastRing && n <= size/4 {
		size /= 2
	}
	if size == uint64(len(m.mu.ring)) {
		return
	}
	old := m.mu.ring
	m.mu.ring = make([]Entry, size)
	for i := range m.mu.n {
		*m.at(m.mu.first + i) = *slot(old, m.mu.first+i)
	}
}

// DeleteRange removes the entries from lowest to highest, both included, with the same
// rules as Log.DeleteRange.
func (m *MemLog) DeleteRange(lowest, highest uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	first, last := m.mu.first, m.lastLocked()
	if m.mu.n == 0 || lowest > highest || highest < first || lowest > last {
		return nil
	}
	lowest, highest = max(lowest, first), min(highest, last)
	if lowest > first && highest < last {
		return fmt.Errorf("%w: %d to %d of %d to %d", ErrHole, lowest, highest, first, last)
	}
	for i := lowest; i <= highest; i++ {
		m.bytes.Add(-entryBytes(m.at(i)))
		*m.at(i) = Entry{}
	}
	if lowest == first {
		m.mu.first = highest + 1
	}
	m.mu.n -= highest - lowest + 1
	m.fitLocked(m.mu.n)
	return nil
}

// Discard removes every entry. The next Append may begin at any index.
func (m *MemLog) Discard(uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.ring, m.mu.n = nil, 0
	m.bytes.Store(0)
	return nil
}
