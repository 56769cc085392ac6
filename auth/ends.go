package auth

import (
	"sync"
	"time"
)

// ends wakes those that watch when a credential expires: one timer for the earliest.
type ends struct {
	mu     sync.Mutex
	open   map[*Caller]int // with how many streams
	timer  *time.Timer
	next   int64 // when timer fires
	closed bool
}

func (e *ends) init() { e.open = make(map[*Caller]int) }

// Follow has OnChange be called when c expires. It is called once for each stream that c opens,
// and Unfollow once for each that ends.
func (t *Table) Follow(c *Caller) {
	at := c.Expires()
	if at == 0 {
		return
	}
	e := &t.ends
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open[c]++
	t.soonerLocked(at)
}

// sooner has OnChange be called at a time in milliseconds too.
func (t *Table) sooner(at int64) {
	e := &t.ends
	e.mu.Lock()
	defer e.mu.Unlock()
	if at != 0 && !e.closed {
		t.soonerLocked(at)
	}
}

func (t *Table) soonerLocked(at int64) {
	if next := t.ends.next; next == 0 || at < next {
		t.armLocked(at)
	}
}

// Unfollow undoes one Follow.
func (t *Table) Unfollow(c *Caller) {
	if c.Expires() == 0 {
		return
	}
	e := &t.ends
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open[c]--; e.open[c] <= 0 {
		delete(e.open, c)
	}
}

// armLocked sets the timer to a time in milliseconds.
func (t *Table) armLocked(at int64) {
	e := &t.ends
	e.next = at
	wait := time.Duration(at-t.opts.Now().UnixMilli()+1) * time.Millisecond
	if e.timer == nil {
		e.timer = time.AfterFunc(wait, t.expire)
		return
	}
	e.timer.Reset(wait)
}

// expire has callers look at their standing again, because one of them has expired.
func (t *Table) expire() {
	t.mu.Lock()
	t.gen.Add(1)
	t.mu.Unlock()
	now := t.Now()
	e := &t.ends
	e.mu.Lock()
	e.next = 0
	var next int64
	for c := range e.open {
		if at := c.Expires(); at > now && (next == 0 || at < next) {
			next = at
		}
	}
	if next != 0 && !e.closed {
		t.armLocked(next)
	}
	e.mu.Unlock()
	t.wake()
}

// Close ends the table's timers, and who waits for them. It may be called twice.
func (t *Table) Close() {
	t.catchup.close()
	e := &t.ends
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	if e.timer != nil {
		e.timer.Stop()
	}
}
