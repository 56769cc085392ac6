package auth

import (
	"context"
	"sync"
	"time"

	"keywatch/kv"
)

const (
	// catchUpMax bounds the requests that wait because their credential is not known here.
	catchUpMax = 256
	// catchUpEvery is how long after a round has begun the next one begins, at least, and catchUpTime how long one
	// takes at most.
	catchUpEvery, catchUpTime = 20 * time.Millisecond, 2 * time.Second
)

// The results of waits for credentials that are not known here.
const (
	caughtUp     = "caught_up"
	caughtFailed = "failed"
	caughtFull   = "full"
)

// CatchUps are the results of waits for credentials that are not known here: the server has applied what was
// acknowledged before, it could not, or too many waited already.
var CatchUps = []string{caughtUp, caughtFailed, caughtFull}

// A catchup has those wait whose credential this server does not know, because another server may have made it a
// moment ago: until this server has applied all that was acknowledged before they came. They share rounds, of which
// one is under way at a time, and each round is one read barrier: clients with wrong tokens cause no more than
// those. It has no goroutine.
type catchup struct {
	begin   func(kv.Waker) *kv.Barrier // nil where no other server makes credentials
	results tally

	mu struct {
		sync.Mutex
		closed  bool
		waiting int
		next    []*kv.Barrier // wait for the next round
		round   *catchupRound // under way; nil for none
		began   time.Time     // when the newest round began
		due     *time.Timer   // begins the next round; nil while none is due
	}
}

// A catchupRound is one read barrier, and those that wait for it.
type catchupRound struct {
	*catchup
	barrier *kv.Barrier // nil until it is begun; guarded by mu
	members []*kv.Barrier
	late    *time.Timer
}

// CatchesUp reports whether CatchUp ever has anyone wait.
func (t *Table) CatchesUp() bool { return t.catchup.begin != nil }

// CatchUp begins a wait for a credential that may be new, see MayBeNew, and wakes w at its end. Then the credential is
// to be looked at again or, where the barrier has an error, it is not known whether it is good. CatchUp returns nil if
// there is nothing to wait for, or too many wait: what was found is final.
func (t *Table) CatchUp(w kv.Waker) *kv.Barrier { return t.catchup.join(w) }

// Find returns what prove finds. If that is a credential that may be new it waits, at most until ctx ends, and calls
// prove once more. It fails as prove does, and with kv.ErrNoLeader if this server cannot know whether the credential
// is good.
func (t *Table) Find(ctx context.Context, prove func() (*Caller, error)) (*Caller, error) {
	c, err := prove()
	if !MayBeNew(err) {
		return c, err
	}
	end := make(signal)
	b := t.CatchUp(end)
	if b == nil {
		return c, err
	}
	select {
	case <-end:
	case <-ctx.Done():
		return nil, kv.ErrNoLeader
	}
	if _, err := b.Done(); err != nil {
		return nil, err
	}
	return prove()
}

// A signal is closed by Wake, which is called once.
type signal chan struct{}

// Wake implements kv.Waker.
func (s signal) Wake() { close(s) }

// join has one more wait for the next round.
func (c *catchup) join(w kv.Waker) *kv.Barrier {
	if c.begin == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed || c.mu.waiting == catchUpMax {
		c.results.add(caughtFull)
		return nil
	}
	b := kv.NewBarrier(w)
	c.mu.waiting++
	c.mu.next = append(c.mu.next, b)
	c.dueLocked()
	return b
}

// dueLocked has the next round begin, if there is to be one and none is under way.
func (c *catchup) dueLocked() {
	if m := &c.mu; len(m.next) > 0 && m.round == nil && m.due == nil && !m.closed {
		m.due = time.AfterFunc(max(0, catchUpEvery-time.Since(m.began)), c.start)
	}
}

// start begins a round.
func (c *catchup) start() {
	c.mu.Lock()
	if c.mu.due = nil; c.mu.closed {
		c.mu.Unlock()
		return
	}
	r := &catchupRound{catchup: c, members: c.mu.next}
	c.mu.next, c.mu.round, c.mu.began = nil, r, time.Now()
	c.mu.Unlock()
	b := c.begin(r) // it may be done by now
	if b == nil {
		r.end(nil)
		return
	}
	c.mu.Lock()
	r.barrier, r.late = b, time.AfterFunc(catchUpTime, func() { b.Finish(kv.ErrNoLeader) })
	c.mu.Unlock()
	r.Wake()
}

// Wake implements kv.Waker for the barrier of the round.
func (r *catchupRound) Wake() {
	r.mu.Lock()
	b := r.barrier
	r.mu.Unlock()
	if b == nil {
		return // start looks once it knows the barrier
	}
	if done, err := b.Done(); done {
		r.end(err)
	}
}

// end ends the wait of those in the round. If the round failed those who came meanwhile would wait in vain too.
func (r *catchupRound) end(err error) {
	c := r.catchup
	c.mu.Lock()
	if c.mu.round != r {
		c.mu.Unlock()
		return // it has ended
	}
	all := r.members
	if err != nil {
		all, c.mu.next = append(all, c.mu.next...), nil
	}
	c.mu.round = nil
	c.mu.waiting -= len(all)
	c.dueLocked()
	if r.late != nil {
		r.late.Stop()
	}
	c.mu.Unlock()
	result := caughtUp
	if err != nil {
		result = caughtFailed
	}
	for _, b := range all {
		c.results.add(result)
		b.Finish(err)
	}
}

// close ends all waits. It may be called twice.
func (c *catchup) close() {
	c.mu.Lock()
	all := c.mu.next
	if c.mu.round != nil {
		all = append(all, c.mu.round.members...)
		if c.mu.round.late != nil {
			c.mu.round.late.Stop()
		}
	}
	if c.mu.due != nil {
		c.mu.due.Stop()
	}
	c.mu.closed, c.mu.next, c.mu.round, c.mu.waiting = true, nil, nil, 0
	c.mu.Unlock()
	for _, b := range all {
		b.Finish(kv.ErrStopping)
	}
}

// waits returns how many wait.
func (c *catchup) waits() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.waiting
}
