package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"keywatch/kv"
)

const (
	// admitWait is how long a writer waits for room, and admitMost how long it does while
	// a checkpoint is being written, which makes room.
	admitWait, admitMost = time.Second, 5 * time.Second
	// readerGrace is how long a writer waits before snapshots are ended for it.
	readerGrace = 250 * time.Millisecond
	// refusalsEvery is how often refusals are logged, at most.
	refusalsEvery = 30 * time.Second
)

var _ kv.Gate = (*memory)(nil)

// A waiter is a writer that waits for room.
type waiter struct {
	bytes int64
	since time.Time
	ready chan struct{} // closed once it has room
}

// Admit implements kv.Gate. Room is given in order of arrival.
func (m *memory) Admit(ctx context.Context, bytes int64) error {
	if m.reserve(bytes) {
		return nil
	}
	m.waited.Add(1)
	if m.hopeless(bytes) {
		return m.refuse(bytes)
	}
	w := m.join(bytes)
	err := m.await(ctx, w)
	if err == nil || !m.leave(w) {
		return nil // or it was given room meanwhile
	}
	if err == kv.ErrStopping {
		return err
	}
	return m.refuse(bytes)
}

// TryAdmit implements kv.Gate.
func (m *memory) TryAdmit(bytes int64) bool { return m.reserve(bytes) }

// await returns nil once w has room, or why it does not wait any longer.
func (m *memory) await(ctx context.Context, w *waiter) error {
	began := time.Now()
	timer := time.NewTimer(admitWait)
	defer timer.Stop()
	for {
		select {
		case <-w.ready:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-m.stop:
			return kv.ErrStopping
		case <-timer.C:
		}
		if !m.writing() || time.Since(began) >= admitMost {
			return kv.ErrMemoryFull
		}
		timer.Reset(admitWait / 4)
	}
}

// Placed implements kv.Gate.
func (m *memory) Placed(bytes int64) { m.admitted.Add(-bytes) }

// reserve uses room for bytes if there is some that no other waits for.
func (m *memory) reserve(bytes int64) bool {
	m.admitted.Add(bytes)
	if m.used()+m.waiting.Load() > m.limit {
		m.admitted.Add(-bytes)
		return false
	}
	m.wakeEvictor()
	return true
}

// hopeless reports whether no eviction makes room for bytes.
func (m *memory) hopeless(bytes int64) bool { return m.fixed()+bytes > m.limit }

// join puts a writer into the line, and has the evictor make room for it.
func (m *memory) join(bytes int64) *waiter {
	w := &waiter{bytes: bytes, since: time.Now(), ready: make(chan struct{})}
	m.mu.Lock()
	m.mu.line = append(m.mu.line, w)
	m.waiting.Add(bytes)
	m.mu.Unlock()
	m.wake.Wake()
	return w
}

// overdue reports whether a writer has waited so long that readers give way.
func (m *memory) overdue() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mu.line) > 0 && time.Since(m.mu.line[0].since) >= readerGrace
}

// leave takes a writer out of the line. It returns false if it has room by now.
func (m *memory) leave(w *waiter) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.mu.line, w)
	if i < 0 {
		return false
	}
	m.mu.line = slices.Delete(m.mu.line, i, i+1)
	m.waiting.Add(-w.bytes)
	m.serveLocked()
	return true
}

// serve gives room to those who wait, as far as there is some.
func (m *memory) serve() {
	if m.waiting.Load() == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serveLocked()
}

func (m *memory) serveLocked() {
	for len(m.mu.line) > 0 {
		w := m.mu.line[0]
		if m.used()+w.bytes > m.limit {
			return
		}
		m.admitted.Add(w.bytes)
		m.waiting.Add(-w.bytes)
		m.mu.line[0] = nil
		m.mu.line = m.mu.line[1:]
		close(w.ready)
	}
}

// refuse counts a refusal, logs it unless that was done just now, and returns an error
// that says what to change.
func (m *memory) refuse(bytes int64) error {
	m.refused.Add(1)
	fixed := m.fixed()
	why := fmt.Sprintf("the values to evict are not in a checkpoint yet, which has begun; --memory-max is %v", Size(m.limit))
	if m.log != nil {
		why = fmt.Sprintf("the log takes %s until a checkpoint, which has begun; --memory-max is %v", mebibytes(m.logBytes()), Size(m.limit))
	}
	if m.hopeless(bytes) {
		what := "keys, leases, outcomes and history"
		if !m.state().Evicts() {
			what = "keys, values, leases, outcomes and history"
		}
		why = fmt.Sprintf("%s take %s of --memory-max %v: raise it or delete keys", what, mebibytes(fixed), Size(m.limit))
	}
	err := fmt.Errorf("%w: no room for %s more: %s", kv.ErrMemoryFull, mebibytes(bytes), why)
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); now.Sub(m.mu.said) >= refusalsEvery {
		m.mu.said = now
		m.logger.Warn("writes are refused because memory is full", "err", err, "used", m.used(), "limit", m.limit,
			"evictable", m.state().Memory().Evictable, "refused", m.refused.Load())
	}
	return err
}

// mebibytes returns a number of bytes for people to read.
func mebibytes(n int64) string { return fmt.Sprintf("%.1fMiB", float64(n)/(1<<20)) }
