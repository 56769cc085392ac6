package watch

import (
	"context"
	"errors"
	"time"

	"keywatch/kv"
)

// The codes of Bye where a state cannot be sent for want of a value.
const (
	// CodeTierUnavailable says that a value is in a tier that cannot be read now.
	CodeTierUnavailable = "tier_unavailable"
	// CodeDataDamaged says that a value is lost.
	CodeDataDamaged = "data_damaged"
)

// coldWait bounds the wait for the values of one piece of a state.
const coldWait = 10 * time.Second

// A coldWaiter is the context that the values of one piece of a state are waited
// for with; it begins with the first of them.
type coldWaiter struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// resolve returns e with its value, if the watcher wants one.
func (c *coldWaiter) resolve(w *Watcher, key string, e *kv.Entry) (*kv.Entry, error) {
	if !e.Cold() || w.form == withoutValue {
		return e, nil
	}
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithTimeout(context.Background(), coldWait)
	}
	return w.progress.reread.view.Resolve(c.ctx, key, e)
}

func (c *coldWaiter) stop() {
	if c.cancel != nil {
		c.cancel()
	}
}

// unreachable ends a watch that err keeps from sending the state.
func (w *Watcher) unreachable(s *Scratch, err error) {
	switch {
	case errors.Is(err, kv.ErrSnapshotLost):
		w.viewLost(s)
	case errors.Is(err, kv.ErrDamaged):
		w.finish(s, Goodbye(CodeDataDamaged))
	default:
		w.finish(s, Goodbye(CodeTierUnavailable))
	}
}
