package app_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// The mover must leave the processor to those who read and write, and must not
// dawdle when no client does: its own commands are not a client's work.
func TestMoverRestsWhileOthersWork(t *testing.T) {
	const worked = 10 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		state := kv.NewState(kv.StateOptions{})
		log, err := kvtest.NewDirect(state, 1, kv.Params{})
		if err != nil {
			t.Fatal(err)
		}
		store := kv.NewStore(state, log, kv.Limits{})
		throttle := app.NewThrottle(state, log)
		put := &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "k", Value: []byte("v")}}}
		refer := func() *kv.Command { return &kv.Command{Refer: &kv.Refer{Refs: []kv.Ref{{Key: "other", Size: 100}}}} }
		for _, c := range []struct {
			what string
			do   func() error
			want time.Duration
		}{
			{"started", func() error { return nil }, 0},
			{"written", func() error { _, err := store.Do(t.Context(), put); return err }, 9 * worked},
			{"read", func() error { _, _, err := store.Get(t.Context(), "k"); return err }, 9 * worked},
			{"moved by the mover", func() error { _, err := throttle.Propose(t.Context(), refer()); return err }, 0},
			{"left alone", func() error { return nil }, 0},
		} {
			for range 100 {
				if err := c.do(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(worked)
			if got := rested(t.Context(), throttle, worked); got != c.want {
				t.Errorf("%s: rested %v, want %v", c.what, got, c.want)
			}
		}
		for range 100 {
			if _, err := store.Do(t.Context(), put); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), worked)
		defer cancel()
		if got := rested(ctx, throttle, time.Second); got != worked { // it would be longer
			t.Errorf("it rested %v, and was stopped after %v", got, worked)
		}
	})
}

// rested returns how long a rest takes.
func rested(ctx context.Context, p *app.Throttle, worked time.Duration) time.Duration {
	began := time.Now()
	p.Rest(ctx, worked)
	return time.Since(began)
}
