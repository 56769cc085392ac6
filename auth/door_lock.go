package auth

import (
	"context"

	"keywatch/kv"
	"keywatch/kv/lock"
	"keywatch/watch"
)

// Acquire is lock.Acquire for a lock that the caller may take. A lock that was granted to a caller
// that may not take it any more is given back.
func (v View) Acquire(ctx context.Context, q lock.Request) (kv.Result, error) {
	if v.open() {
		r, err := lock.Acquire(ctx, v.door.store, q)
		if shut := v.door.Shut(); err == nil && shut != nil {
			v.giveBack(ctx, &r)
			return kv.Result{}, shut
		}
		return r, err
	}
	c := &kv.Command{Fences: q.Fences, Idem: q.Idem, Lock: &kv.LockCommand{Kind: kv.LockAcquire, Name: q.Name}}
	for range tries {
		if _, err := v.admit(ctx, c); err != nil {
			return kv.Result{}, err
		}
		q.Auth = c.Auth
		r, err := lock.Acquire(ctx, v.door.store, q)
		v.did(c, r, err)
		if err != nil {
			return r, err
		}
		if r.Outcome == kv.AuthMoved {
			continue
		}
		s, err := v.look()
		if err == nil {
			err = s.Command(c, owners{ctx, v})
		}
		if err != nil {
			v.giveBack(ctx, &r)
			return kv.Result{}, err
		}
		s.Redact(c, &r)
		return r, nil
	}
	return kv.Result{}, ErrMoved
}

// giveBack ends the lease of a lock that was granted, or it runs out.
func (v View) giveBack(ctx context.Context, r *kv.Result) {
	if r.Outcome == kv.Committed && r.Lease != nil {
		_, _ = v.door.store.Revoke(context.WithoutCancel(ctx), r.Lease.ID, kv.Idem{})
	}
}

// A Wait is a wait for a change of one key that the caller may read.
type Wait struct {
	view    View
	key     string
	watcher *watch.Watcher
}

// Wait begins to wait for a change of key after a position. It must be closed.
func (v View) Wait(key string, at kv.Position) (*Wait, error) {
	if _, err := v.MayKey(Read, key); err != nil {
		return nil, err
	}
	w, err := v.door.hub.Watch(watch.Request{
		Keys: []string{key}, From: watch.FromPosition, Since: at.String(), Mode: watch.Keys,
	})
	if err != nil {
		return nil, err
	}
	return &Wait{v, key, w}, nil
}

// Next waits until the key may have changed, or ctx ends, as watch.Watcher.Next does.
func (w *Wait) Next(ctx context.Context) error {
	_, err := w.watcher.Next(ctx)
	return err
}

// Now returns what the key is here, without waiting for a value that is not in memory. What a
// watcher is told of can be read here already.
func (w *Wait) Now() (e *kv.Entry, at kv.Position, err error) {
	err = retry(func() (Pass, error) { return w.view.MayKey(Read, w.key) }, func() error {
		e, at = w.view.door.store.State().Get(w.key)
		return nil
	})
	return e, at, err
}

// Close ends the wait.
func (w *Wait) Close() { w.watcher.Close() }

// What anyone may know of a store.

// Now returns the present log time in milliseconds.
func (d *Door) Now() int64 { return d.store.Now() }

// Limits returns the bounds on commands.
func (d *Door) Limits() kv.Limits { return d.store.Limits() }

// Params returns the bounds that the state enforces.
func (d *Door) Params() kv.Params { return d.store.State().Params() }

// Position returns the newest position.
func (d *Door) Position() kv.Position { return d.store.State().Position() }

// Barrier waits until local reads show every write acknowledged before the call.
func (d *Door) Barrier(ctx context.Context) error { return d.store.Barrier(ctx) }

// ReadSize is kv.Store.ReadSize: how much memory a command needs, which no caller is told.
func (d *Door) ReadSize(c *kv.Command) (size, cold int64) { return d.store.ReadSize(c) }
