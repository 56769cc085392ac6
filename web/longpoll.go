package web

import (
	"context"
	"errors"
	"strings"

	"keywatch/kv"
	"keywatch/watch"
	"keywatch/web/api"
)

// await waits until the key is not what it was at position at, and returns what
// it is then. When the time is up it returns what there is, unchanged.
func (r *request) await(o *getOptions, at kv.Position) (*kv.Entry, kv.Position, error) {
	if err := r.unhurried(); err != nil {
		return nil, at, err
	}
	r.key = strings.Clone(r.key)
	w, err := r.view().Wait(r.key, at)
	if err != nil {
		return nil, at, err
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(r.s.draining, o.wait)
	defer cancel()
	for {
		err := w.Next(ctx)
		if r.s.stopping.Load() || errors.Is(err, watch.ErrClosed) {
			return nil, at, kv.ErrStopping
		}
		if err != nil && ctx.Err() == nil {
			return nil, at, err
		}
		e, now, err := w.Now()
		if err != nil {
			return nil, at, err
		}
		if o.unchanged(e, now) && ctx.Err() == nil {
			continue
		}
		e, now, err = r.view().Get(r.deadline(), r.key, true, r.mayFetch)
		if err != nil || !o.unchanged(e, now) || ctx.Err() != nil {
			return e, now, api.ColdError(err)
		}
	}
}
