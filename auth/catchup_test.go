package auth_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/auth"
	"keywatch/kv"
)

// A leader is asked by read barriers, which end once it says so.
type leader struct {
	asked atomic.Int64
	open  chan *kv.Barrier
}

func (l *leader) table(t *testing.T) *auth.Table {
	l.open = make(chan *kv.Barrier, 1000)
	table := auth.NewTable(auth.TableOptions{Barrier: func(w kv.Waker) *kv.Barrier {
		l.asked.Add(1)
		b := kv.NewBarrier(w)
		l.open <- b
		return b
	}})
	t.Cleanup(table.Close)
	return table
}

// ask has a wrong token be looked at; what comes of it is sent to the channel that it returns.
func ask(ctx context.Context, table *auth.Table) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := table.Find(ctx, func() (*auth.Caller, error) { return table.Authenticate([]byte(auth.NewSecret(auth.Key))) })
		done <- err
	}()
	return done
}

func refusedAs(err error, reason string) bool {
	failed, ok := errors.AsType[*auth.FailedError](err)
	return ok && failed.Reason == reason
}

// If this failed, a flood of wrong tokens would become a flood of questions to the leader, or have any number of
// requests wait.
func TestWrongTokensShareQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(leader)
		table := l.table(t)
		first := ask(t.Context(), table)
		synctest.Wait()
		var others []<-chan error
		for range 300 {
			others = append(others, ask(t.Context(), table))
		}
		synctest.Wait()
		full := 0
		for _, done := range others {
			select {
			case err := <-done:
				if full++; !refusedAs(err, auth.Unknown) {
					t.Errorf("one beyond the limit: got %v", err)
				}
			default:
			}
		}
		stats := table.Stats()
		if full != 45 || stats.Waiting != 256 || stats.CatchUps["full"] != 45 || l.asked.Load() != 1 {
			t.Errorf("%d of 301 were refused at once, %+v wait, and the leader was asked %d times; want 45, 256, once", full, stats, l.asked.Load())
		}
		began := time.Now()
		(<-l.open).Finish(nil)
		if err := <-first; !refusedAs(err, auth.Unknown) {
			t.Errorf("the first: got %v", err)
		}
		(<-l.open).Finish(nil)
		if paused := time.Since(began); paused != 20*time.Millisecond {
			t.Errorf("the next question came %v after the first one, want 20 ms", paused)
		}
		synctest.Wait()
		if stats := table.Stats(); stats.Waiting != 0 || stats.CatchUps["caught_up"] != 256 || l.asked.Load() != 2 {
			t.Errorf("in the end: %+v, and the leader was asked %d times", stats, l.asked.Load())
		}
	})
}

// A server that hears nothing must answer after a while that it does not know, and so must one without a leader, one
// that stops, and one whose request has ended.
func TestUnknownIsNotSaidWithoutLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(leader)
		table := l.table(t)
		began := time.Now()
		if err := <-ask(t.Context(), table); !errors.Is(err, kv.ErrNoLeader) || time.Since(began) != 2*time.Second {
			t.Errorf("got %v after %v, want %v after 2 s", err, time.Since(began), kv.ErrNoLeader)
		}
		<-l.open
		early := ask(t.Context(), table)
		late := l.open
		b := <-late
		behind := ask(t.Context(), table) // fails with the round before it
		synctest.Wait()
		b.Finish(kv.ErrNoLeader)
		for _, done := range []<-chan error{early, behind} {
			if err := <-done; !errors.Is(err, kv.ErrNoLeader) {
				t.Errorf("got %v, want %v", err, kv.ErrNoLeader)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone, stopped := ask(ctx, table), ask(t.Context(), table)
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, kv.ErrNoLeader) {
			t.Errorf("a request that has ended: got %v", err)
		}
		table.Close()
		if err := <-stopped; !errors.Is(err, kv.ErrStopping) {
			t.Errorf("a server that stops: got %v, want %v", err, kv.ErrStopping)
		}
		if err := <-ask(t.Context(), table); !refusedAs(err, auth.Unknown) {
			t.Errorf("a server that has stopped: got %v", err)
		}
	})
}

// One server, whose state shows all that was acknowledged, must answer at once.
func TestSingleServerAsksNoOther(t *testing.T) {
	table := auth.NewTable(auth.TableOptions{})
	defer table.Close()
	if b := table.CatchUp(nil); b != nil || table.CatchesUp() {
		t.Error("it waits for others, of which there are none")
	}
	alone := auth.NewTable(auth.TableOptions{Barrier: func(kv.Waker) *kv.Barrier { return nil }})
	defer alone.Close()
	if err := <-ask(t.Context(), alone); !refusedAs(err, auth.Unknown) {
		t.Errorf("the only voter: got %v", err)
	}
}
