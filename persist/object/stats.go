package object

import (
	"errors"
	"time"

	"keywatch/kv"
)

// Stats are figures of a mover since it was made.
type Stats struct {
	// Moves counts calls of Move and rewritings that moved something, Values and
	// Bytes what they moved.
	Moves, Values, Bytes uint64
	// Uploads counts segments stored, UploadBytes their length, Errors failures.
	Uploads, UploadBytes, Errors uint64
	// Sweep is what the last Tidy found, at Swept; Deleted counts all segments
	// deleted.
	Sweep   Sweep
	Swept   time.Time
	Deleted uint64
	// Waiting is what the last Move or rewriting that failed has left where it was.
	Waiting kv.Live
	// Problem says why the last Move or Tidy failed; "" if it did not.
	Problem string
}

// Stats returns the figures.
func (m *Mover) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.stats
}

// note counts what was moved of what was picked.
func (m *Mover) note(moved, picked kv.Live, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.mu.stats
	s.Waiting = kv.Live{}
	if err != nil {
		s.Waiting = kv.Live{Values: picked.Values - moved.Values, Bytes: picked.Bytes - moved.Bytes}
	}
	if moved.Values > 0 {
		s.Moves++
		s.Values += uint64(moved.Values)
		s.Bytes += uint64(moved.Bytes)
	}
	m.failLocked(err)
}

func (m *Mover) failLocked(err error) {
	m.mu.stats.Problem = ""
	if err != nil {
		m.mu.stats.Problem = problem(err)
		m.mu.stats.Errors++
	}
}

func (m *Mover) uploaded(size int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.stats.Uploads++
	m.mu.stats.UploadBytes += uint64(size)
}

func (m *Mover) swept(s Sweep, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.stats.Deleted += uint64(s.Deleted)
	if err == nil || errors.Is(err, kv.ErrDamaged) {
		m.mu.stats.Sweep, m.mu.stats.Swept = s, time.Now()
	}
	m.failLocked(err)
}

// problem says in a few words what is wrong.
func problem(err error) string {
	if errors.Is(err, kv.ErrDamaged) {
		return err.Error() // it names the segment
	}
	for _, known := range []error{ErrTaken, ErrUnfit, ErrElsewhere, ErrNewer, ErrUnavailable, ErrDamaged} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}
