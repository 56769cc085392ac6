package app

import (
	"context"
	"errors"
	"iter"
	"log/slog"

	"keywatch/kv"
	"keywatch/kv/trace"
	"keywatch/persist/object"
)

// move has the mover move values, and records that for one time in so many.
func (t *objectTier) move(ctx context.Context, limit int64, want func(kv.Resident) bool) (moved kv.Live, err error) {
	ctx, span := t.engine.config.Tracer.Work(ctx, "keywatch.object.move")
	moved, err = t.mover().Move(ctx, limit, want)
	if span != nil {
		span.Set(slog.Int64("keywatch.object.values", moved.Values), slog.Int64("keywatch.object.bytes", moved.Bytes))
		span.Fail(objectErrorType(err))
		span.End()
	}
	return moved, err
}

// tidy has the mover tidy, and records that likewise.
func (t *objectTier) tidy(ctx context.Context) error {
	ctx, span := t.engine.config.Tracer.Work(ctx, "keywatch.object.tidy")
	_, err := t.mover().Tidy(ctx)
	if span != nil {
		span.Fail(objectErrorType(err))
		span.End()
	}
	return err
}

// objectErrorType returns what traces show of an error of object storage; empty for none.
func objectErrorType(err error) string {
	for _, e := range []struct {
		is   error
		name string
	}{
		{nil, ""}, {object.ErrNotFound, "not_found"}, {object.ErrExists, "exists"}, {object.ErrDamaged, "data_damaged"},
		{object.ErrUnavailable, "tier_unavailable"}, {context.Canceled, "canceled"}, {context.DeadlineExceeded, "timeout"},
	} {
		if errors.Is(err, e.is) {
			return e.name
		}
	}
	return "other"
}

// A tracedStore records each request to a Store as a part of the span that its context carries, attempts
// and all.
type tracedStore struct{ object.Store }

// record begins to record a request about an object; what it returns ends it.
func record(ctx context.Context, what, name string, size int) func(error) {
	_, part := trace.Begin(ctx, "keywatch.object."+what)
	if part == nil {
		return func(error) {}
	}
	part.Set(slog.String("keywatch.object.name", name), slog.Int("keywatch.object.bytes", size))
	return func(err error) {
		part.Fail(objectErrorType(err))
		part.End()
	}
}

// Put implements object.Store.
func (s tracedStore) Put(ctx context.Context, name string, b []byte) error {
	end := record(ctx, "put", name, len(b))
	err := s.Store.Put(ctx, name, b)
	end(err)
	return err
}

// GetRange implements object.Store.
func (s tracedStore) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	end := record(ctx, "get", name, int(n))
	b, err := s.Store.GetRange(ctx, name, off, n)
	end(err)
	return b, err
}

// Delete implements object.Store.
func (s tracedStore) Delete(ctx context.Context, name string) error {
	end := record(ctx, "delete", name, 0)
	err := s.Store.Delete(ctx, name)
	end(err)
	return err
}

// List implements object.Store.
func (s tracedStore) List(ctx context.Context, prefix string) iter.Seq2[object.Info, error] {
	return func(yield func(object.Info, error) bool) {
		end := record(ctx, "list", prefix, 0)
		var failed error
		defer func() { end(failed) }()
		for info, err := range s.Store.List(ctx, prefix) {
			failed = err
			if !yield(info, err) {
				return
			}
		}
	}
}
