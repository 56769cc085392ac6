package web

import (
	"context"
	"sync/atomic"
	"time"
)

// A patience hands out contexts that end after a wait. Requests that begin
// within the same second share one, which costs a request neither a timer nor
// an allocation, and so each waits up to a second longer.
type patience struct {
	life context.Context
	wait time.Duration
	now  atomic.Pointer[sharedWait]
}

type sharedWait struct {
	second int64
	ctx    context.Context
	cancel context.CancelFunc
}

// context returns a context that ends wait after now, or up to a second
// later, or with the server.
func (p *patience) context(now time.Time) context.Context {
	second := now.Unix()
	old := p.now.Load()
	if old != nil && old.second == second {
		return old.ctx
	}
	next := &sharedWait{second: second}
	next.ctx, next.cancel = context.WithTimeout(p.life, p.wait+time.Second)
	if p.now.CompareAndSwap(old, next) {
		return next.ctx
	}
	next.cancel()
	return p.now.Load().ctx
}

// close ends the newest context; earlier ones end with their time or with the
// server's life.
func (p *patience) close() {
	if now := p.now.Load(); now != nil {
		now.cancel()
	}
}
