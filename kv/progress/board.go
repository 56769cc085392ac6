// Package progress has background work report how far it is, so that work that does not
// end is noticed, and can be told from work that takes long.
package progress

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Board knows the background work under way. The zero value is ready to use; a nil Board
// notes nothing. It is safe for concurrent use.
type Board struct {
	mu struct {
		sync.Mutex
		tasks []*Task // in the order in which they began
		began uint64
	}
}

// A Task is one piece of work under way. Add is for the goroutine that works; the others
// belong to who began it. A nil Task does nothing.
type Task struct {
	board       *Board
	id          uint64
	work, unit  string
	began       time.Time
	done, total atomic.Int64
	follow      func() int64 // counts instead of done; nil if Add does
	// seen is what Running found the last time, changed when that was something new. They and
	// follow belong to the holder of the board's lock.
	seen    int64
	changed time.Time
}

// Begin notes that work of a kind begins, which counts its progress in a unit. End must
// follow.
func (b *Board) Begin(work, unit string) *Task {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.began++
	now := time.Now()
	t := &Task{board: b, id: b.mu.began, work: work, unit: unit, began: now, changed: now}
	b.mu.tasks = append(b.mu.tasks, t)
	return t
}

// Expect adds n to the units that the work has in all.
func (t *Task) Expect(n int64) {
	if t != nil {
		t.total.Add(n)
	}
}

// Add notes that n more units are done.
func (t *Task) Add(n int64) {
	if t != nil {
		t.done.Add(n)
	}
}

// Follow has the progress asked for instead of told: done returns how many units are done.
// It is called with the board's lock held, by any goroutine, until End has returned.
func (t *Task) Follow(done func() int64) {
	if t == nil {
		return
	}
	t.board.mu.Lock()
	defer t.board.mu.Unlock()
	t.follow = done
}

// End notes that the work has ended, however it did. It may be called twice.
func (t *Task) End() {
	if t == nil {
		return
	}
	t.board.mu.Lock()
	defer t.board.mu.Unlock()
	if i := slices.Index(t.board.mu.tasks, t); i >= 0 {
		t.board.mu.tasks = slices.Delete(t.board.mu.tasks, i, i+1)
	}
}

// A Report is how far a piece of work is.
type Report struct {
	// ID tells pieces of work of one board apart; later ones have higher numbers.
	ID uint64
	// Work is the kind of work, Unit what it counts.
	Work, Unit string
	// Done and Total are numbers of units; Total is 0 if it is not known.
	Done, Total int64
	// Age is how long ago the work began, Unchanged for how long Done has been what it is,
	// as far as calls of Running show.
	Age, Unchanged time.Duration
}

// Running returns the work under way, the oldest first.
func (b *Board) Running() []Report {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	reports := make([]Report, len(b.mu.tasks))
	for i, t := range b.mu.tasks {
		done := t.done.Load()
		if t.follow != nil {
			done = t.follow()
		}
		if done != t.seen {
			t.seen, t.changed = done, now
		}
		reports[i] = Report{
			ID: t.id, Work: t.work, Unit: t.unit, Done: done, Total: t.total.Load(),
			Age: now.Sub(t.began), Unchanged: now.Sub(t.changed),
		}
	}
	return reports
}
