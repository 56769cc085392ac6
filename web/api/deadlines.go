package api

import (
	"context"
	"sync/atomic"
	"time"
)

// Deadlines hand out contexts that end after a wait. Requests that begin within
// the same second share one, which costs a request neither a timer nor an
// allocation, and so each waits up to a second longer. They are safe for
// concurrent use.
type Deadlines struct {
	life context.Context
	wait time.Duration
	born time.Time // by a clock that no change of the time of day moves
	now  atomic.Pointer[deadline]
}

type deadline struct {
	second int64
	ctx    context.Context
	cancel context.CancelFunc
}

// NewDeadlines returns deadlines that come wait after they are asked for, and when
// life ends.
func NewDeadlines(life context.Context, wait time.Duration) *Deadlines {
	return &Deadlines{life: life, wait: wait, born: time.Now()}
}

// Context returns a context that ends wait after the call, or up to a second later. It does
// not count from when the request began: the body may have been long in coming.
func (d *Deadlines) Context() context.Context {
	second := int64(time.Since(d.born) / time.Second)
	old := d.now.Load()
	if old != nil && old.second >= second {
		return old.ctx
	}
	next := &deadline{second: second}
	next.ctx, next.cancel = context.WithTimeout(d.life, d.wait+time.Second)
	if d.now.CompareAndSwap(old, next) {
		return next.ctx
	}
	next.cancel()
	return d.now.Load().ctx
}

// Close ends the newest context; earlier ones end with their time or with the
// server's life.
func (d *Deadlines) Close() {
	if now := d.now.Load(); now != nil {
		now.cancel()
	}
}
