package app

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/kv/wake"
	"keywatch/watch"
)

const (
	// memoryPoll is how often memory is looked at where nobody asks for it.
	memoryPoll = 100 * time.Millisecond
	// admitWait is how long a writer waits for room.
	admitWait = time.Second
	// memorySpare is the part of the limit that is kept free: one in memorySpare.
	// Eviction begins there, writers are held back only at the limit.
	memorySpare = 16
	// dirtyShare is the part of the limit, one in dirtyShare, that may be written
	// before a checkpoint is due, however large checkpoints may be otherwise.
	dirtyShare = 8
)

// A memory keeps what a state and its hub hold below a limit: it evicts, asks
// for checkpoints, and holds writers back. It is safe for concurrent use.
type memory struct {
	limit int64
	state *kv.State
	hub   *watch.Hub
	// checkpoint asks for a checkpoint now; it does not wait.
	checkpoint func()
	// wake says that memory may be short.
	wake wake.Chan
	stop <-chan struct{}
	mu   struct {
		sync.Mutex
		// room is closed, and replaced, when something was evicted.
		room chan struct{}
	}
	waited, refused atomic.Uint64
}

func newMemory(limit int64, stop <-chan struct{}, checkpoint func()) *memory {
	m := &memory{limit: limit, stop: stop, checkpoint: checkpoint, wake: wake.New()}
	m.mu.room = make(chan struct{})
	return m
}

// used returns what counts against the limit.
func (m *memory) used() int64 { return m.state.Used() + m.hub.Memory() }

// share returns the state's part of the limit: all that history cannot take. What is
// read from slower tiers stays in memory up to there.
func (m *memory) share() int64 { return max(1, m.limit-m.hub.MemoryMax()) }

// over returns by how many bytes use exceeds the mark where eviction begins. The
// state has a mark of its own: while there is little history it would reach its
// share, and keep nothing any more of what it reads, long before the other.
func (m *memory) over() int64 {
	share := m.share()
	return max(m.used()-(m.limit-m.limit/memorySpare), m.state.Used()-(share-share/memorySpare))
}

// wakeEvictor has the evictor look if memory is short.
func (m *memory) wakeEvictor() {
	if m.over() > 0 {
		m.wake.Wake()
	}
}

// Admit implements kv.Gate.
func (m *memory) Admit(ctx context.Context, bytes int64) error {
	if m.over()+bytes <= 0 {
		return nil
	}
	m.wakeEvictor()
	if m.fits(bytes) {
		return nil
	}
	m.waited.Add(1)
	timer := time.NewTimer(admitWait)
	defer timer.Stop()
	for {
		room := m.roomMade()
		if m.fits(bytes) {
			return nil
		}
		m.wakeEvictor()
		select {
		case <-room:
		case <-timer.C:
			m.refused.Add(1)
			return kv.ErrMemoryFull
		case <-ctx.Done():
			m.refused.Add(1)
			return ctx.Err()
		case <-m.stop:
			return kv.ErrStopping
		}
	}
}

func (m *memory) fits(bytes int64) bool { return m.used()+bytes <= m.limit }

// roomMade returns a channel that is closed when something was evicted.
func (m *memory) roomMade() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.room
}

func (m *memory) announce() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.mu.room)
	m.mu.room = make(chan struct{})
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

// evict makes room until there is enough or nothing left to drop. Then what is
// left has to be written first.
func (m *memory) evict() {
	for over := m.over(); over > 0; over = m.over() {
		freed := m.state.Evict(over + m.limit/(4*memorySpare))
		if freed == 0 {
			m.checkpoint()
			return
		}
		m.announce()
	}
	m.announce() // history shrinks by itself
}

// dirtyMax returns how much may be written before a checkpoint is due.
func (m *memory) dirtyMax(checkpointBytes int64) int64 {
	return min(checkpointBytes, m.limit/dirtyShare)
}
