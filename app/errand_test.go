package app

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"keywatch/kv"
)

// A run that takes longer than a question may must be waited for by further questions, not begun again by each.
func TestErrandIsBegunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e errand
		if err := e.ask(t.Context(), 1); !errors.Is(err, kv.ErrStarting) {
			t.Errorf("before there is a store: got %v, want %v", err, kv.ErrStarting)
		}
		var begun atomic.Int32
		finish, failed := make(chan struct{}), errors.New("failed")
		e.open(func(context.Context) error {
			begun.Add(1)
			<-finish
			return failed
		})
		for range 3 {
			if err := e.ask(t.Context(), 1); err != errUnderWay {
				t.Errorf("while it runs: got %v, want %v", err, errUnderWay)
			}
		}
		other := make(chan error)
		go func() { other <- e.ask(t.Context(), 2) }()
		synctest.Wait()
		close(finish)
		if err := <-other; err != errUnderWay {
			t.Errorf("another run, beside the first: got %v, want %v", err, errUnderWay)
		}
		if err := e.ask(t.Context(), 1); err != failed || begun.Load() != 1 {
			t.Errorf("once it has ended: got %v after %d runs, want %v after one", err, begun.Load(), failed)
		}
		if err := e.ask(t.Context(), 2); err != failed || begun.Load() != 2 {
			t.Errorf("another run: got %v after %d runs, want %v after two", err, begun.Load(), failed)
		}
		e.close()
	})
}

// A server that stops must not leave work of others behind, and must begin none.
func TestErrandEndsWithItsServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e errand
		e.open(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		asked := make(chan error)
		go func() { asked <- e.ask(t.Context(), 1) }()
		synctest.Wait()
		e.close()
		if err := <-asked; !errors.Is(err, context.Canceled) {
			t.Errorf("a run that was cut short: got %v, want %v", err, context.Canceled)
		}
		if err := e.ask(t.Context(), 2); !errors.Is(err, kv.ErrStarting) {
			t.Errorf("after the end: got %v, want %v", err, kv.ErrStarting)
		}
	})
}
