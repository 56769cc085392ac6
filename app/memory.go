package app

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/kv/wake"
	"keywatch/watch"
)

const (
	// memoryPoll is how often memory is looked at unasked.
	memoryPoll = 100 * time.Millisecond
	// memorySpare is the part of the limit that is kept free: one in memorySpare.
	// Eviction begins there, writers are held back only at the limit.
	memorySpare = 16
	// dirtyShare is the part of the limit, one in dirtyShare, that may be written
	// before a checkpoint is due, however large checkpoints may be otherwise.
	dirtyShare = 8
	// logShare is the part of the limit, one in logShare, that a log in memory may take
	// before a checkpoint is due, leastLogShare the part that is worth one while memory is
	// short.
	logShare, leastLogShare = 16, 64
	// snapshotShare is the part of the limit, one in snapshotShare, that what is kept
	// for snapshots only may take.
	snapshotShare = 4
	// maxSnapshotBytes bounds it on a large machine.
	maxSnapshotBytes = 256 << 20
)

// A memory keeps what a state and its hub hold below a limit: it evicts, ends
// snapshots, asks for checkpoints, and holds writers back. It is safe for concurrent
// use.
type memory struct {
	limit int64
	state func() *kv.State
	hub   *watch.Hub
	// node is nil until it is open.
	node atomic.Pointer[cluster.Node]
	// log is the log of a store that is memory only, nil for one on disk.
	log logSizer
	// checkpoint asks for a checkpoint now; it does not wait.
	checkpoint func()
	// writing reports whether a checkpoint is being written.
	writing func() bool
	logger  *slog.Logger
	// wake says that memory may be short.
	wake wake.Chan
	stop <-chan struct{}

	// admitted is what writers have room for who have no place in the log yet, waiting
	// what those need who wait for room.
	admitted, waiting atomic.Int64
	waited, refused   atomic.Uint64
	mu                struct {
		sync.Mutex
		// line are those who wait, in order of arrival.
		line []*waiter
		// said is when a refusal was logged last.
		said time.Time
	}
}

// used returns what counts against the limit, what is on its way included.
func (m *memory) used() int64 {
	n := m.state().Used() + m.hub.Memory() + m.admitted.Load() + m.logBytes()
	if node := m.node.Load(); node != nil {
		n += node.Pending()
	}
	return n
}

// logBytes returns what the log takes in memory.
func (m *memory) logBytes() int64 {
	if m.log == nil {
		return 0
	}
	return m.log.Bytes()
}

// share returns the state's part of the limit: all that history cannot take. What is
// read from slower tiers stays in memory up to there.
func (m *memory) share() int64 { return max(1, m.limit-m.hub.MemoryMax()) }

// fixed returns what no eviction makes smaller: keys, their metadata, leases, outcomes
// and history.
func (m *memory) fixed() int64 {
	s := m.state().Memory()
	if !m.state().Evicts() {
		return s.Table + s.Idem + s.Leases + s.Private + s.Values + m.hub.Memory()
	}
	return s.Table + s.Idem + s.Leases + s.Private + m.hub.Memory()
}

// over returns by how many bytes use, and what writers wait for, exceed the mark where
// eviction begins. The state has a mark of its own: while there is little history it
// would reach its share, and keep nothing any more of what it reads, long before the
// other.
func (m *memory) over() int64 {
	share, needed := m.share(), m.used()+m.waiting.Load()
	return max(needed-(m.limit-m.limit/memorySpare), needed-m.hub.Memory()-(share-share/memorySpare))
}

// wakeEvictor has the evictor look if memory is short.
func (m *memory) wakeEvictor() {
	if m.over() > 0 {
		m.wake.Wake()
	}
}

// evictLoop evicts until stop is closed.
func (m *memory) evictLoop() {
	poll := time.NewTicker(memoryPoll)
	defer poll.Stop()
	for {
		select {
		case <-m.wake:
		case <-poll.C:
		case <-m.stop:
			return
		}
		m.evict()
	}
}

// evict makes room until there is enough or nothing left to drop. Then what is left
// has to be written first.
func (m *memory) evict() {
	for over := m.over(); over > 0 && !m.stopped(); over = m.over() {
		freed := m.state().Evict(over+m.limit/(4*memorySpare)) > 0
		m.serve()
		if freed {
			continue
		}
		// A snapshot keeps versions, and what replaced them, in memory. Who reads it may
		// have stalled: that must cost no writer anything.
		if m.overdue() && m.state().EndOldestSnapshot() {
			continue
		}
		if m.log == nil || m.logBytes() > m.limit/leastLogShare || m.waiting.Load() > 0 {
			m.checkpoint()
		}
		return
	}
	m.serve()
}

// stopped reports whether stop is closed.
func (m *memory) stopped() bool {
	select {
	case <-m.stop:
		return true
	default:
		return false
	}
}

// dirtyMax returns how much may be written before a checkpoint is due.
func (m *memory) dirtyMax(checkpointBytes int64) int64 {
	return min(checkpointBytes, m.limit/dirtyShare)
}
