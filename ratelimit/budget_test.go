package ratelimit_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/ratelimit"
)

// wantFull fails the test unless err says that limit was exceeded, of a budget of 1000.
func wantFull(t *testing.T, what string, err error, kind ratelimit.Kind, limit int64, caller bool) {
	t.Helper()
	full, ok := errors.AsType[*ratelimit.FullError](err)
	if ok {
		full.Never = false // TestBudgetKnowsWhatNeverFits
	}
	if want := (ratelimit.FullError{Kind: kind, Limit: limit, Caller: caller, Part: !caller && limit < 1000}); !ok || *full != want {
		t.Errorf("%s: got %v, want %v", what, err, &want)
	}
}

// If this failed, a request that can never have room would be asked for again for ever.
func TestBudgetKnowsWhatNeverFits(t *testing.T) {
	b := ratelimit.NewBudget(1600, 800)
	one, other, proxy := b.Open("one"), b.Open("other"), b.Open("")
	for _, c := range []struct {
		name  string
		hold  *ratelimit.Hold
		kind  ratelimit.Kind
		n     int64
		never bool
	}{
		{"more than one caller may", &one, ratelimit.Requests, 801, true},
		{"more than those who come and go may", &proxy, ratelimit.Answers, 1201, true},
		{"as much as there is", &proxy, ratelimit.Answers, 1200, false},
		{"a connection", &one, ratelimit.Connections, 801, false},
	} {
		if err := other.Grow(ratelimit.Connections, 500); err != nil {
			t.Fatal(err)
		}
		full, ok := errors.AsType[*ratelimit.FullError](c.hold.Grow(c.kind, c.n))
		if !ok || full.Never != c.never {
			t.Errorf("%s: got %+v, want never %v", c.name, full, c.never)
		}
		other.Shrink(ratelimit.Connections, 500)
	}
}

// If this failed, answers that are not read would leave no room for a connection, and so
// none for the smallest request.
func TestBudgetLeavesRoomForConnections(t *testing.T) {
	b := ratelimit.NewBudget(1600, 1600)
	h := b.Open("")
	for _, err := range []error{h.Grow(ratelimit.Connections, 350), h.Grow(ratelimit.Answers, 1150)} {
		if err != nil {
			t.Error(err)
		}
	}
	for _, k := range []ratelimit.Kind{ratelimit.Answers, ratelimit.Requests} {
		full, ok := errors.AsType[*ratelimit.FullError](h.Grow(k, 1))
		if !ok || full.Limit != 1600 {
			t.Errorf("%s: got %v, want no room", k, full)
		}
	}
	if err := h.Grow(ratelimit.Connections, 100); err != nil {
		t.Error(err)
	}
	if err := h.Grow(ratelimit.Connections, 1); err == nil {
		t.Error("more is charged than there is")
	}
}

// If this failed, one caller or all of them could make the server hold more than they
// may, or those who only watch could leave no memory for those who ask.
func TestBudgetBoundsCallersAndAll(t *testing.T) {
	b := ratelimit.NewBudget(1000, 600)
	one, two, proxy := b.Open("one"), b.Open("two"), b.Open("")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	must(one.Grow(ratelimit.Connections, 400))
	must(one.Grow(ratelimit.Requests, 150))
	wantFull(t, "one caller", one.Grow(ratelimit.Requests, 51), ratelimit.Requests, 600, true)
	must(two.Grow(ratelimit.Watches, 340))
	wantFull(t, "what lasts", two.Grow(ratelimit.Watches, 11), ratelimit.Watches, 750, false)
	must(two.Grow(ratelimit.Connections, 10))
	must(proxy.Grow(ratelimit.Answers, 38))
	wantFull(t, "all", proxy.Grow(ratelimit.Answers, 1), ratelimit.Answers, 1000, false)
	if !b.Short() {
		t.Error("there is no room, and the budget is not short")
	}
	one.Close()
	one.Close()
	must(proxy.Grow(ratelimit.Requests, 550))
	if got := b.Used(); got != 938 {
		t.Errorf("used %d, want 938", got)
	}
	s := b.Stats()
	if s.Callers != 1 || s.Used[ratelimit.Watches] != 340 || s.Refused[ratelimit.Requests] != 1 || s.Limit != 1000 {
		t.Errorf("got %+v", s)
	}
	two.Close()
	must(proxy.Grow(ratelimit.Waits, 100))
	wantFull(t, "watches beside waits", proxy.Grow(ratelimit.Watches, 401), ratelimit.Watches, 500, false)
	wantFull(t, "waits", proxy.Grow(ratelimit.Waits, 401), ratelimit.Waits, 500, false)
	proxy.Shrink(ratelimit.Waits, 100)
	wantFull(t, "watches", proxy.Grow(ratelimit.Watches, 501), ratelimit.Watches, 500, false)
	proxy.Close()
	if got := b.Used(); got != 0 {
		t.Errorf("%d bytes are left after all were closed", got)
	}
}

// If this failed, what shrinks would not be given back, or what was promised would
// not count.
func TestHoldFollowsWhatIsHeld(t *testing.T) {
	b := ratelimit.NewBudget(1000, 0)
	h := b.Open("one")
	defer h.Close()
	if err := h.Set(ratelimit.Answers, 400); err != nil {
		t.Error(err)
	}
	wantFull(t, "half is for one caller", h.Set(ratelimit.Answers, 501), ratelimit.Answers, 500, true)
	h.Force(ratelimit.Answers, 300)
	if got := h.Held(ratelimit.Answers); got != 700 {
		t.Errorf("held %d, want 700", got)
	}
	h.Shrink(ratelimit.Answers, 600)
	if err := h.Set(ratelimit.Answers, 10); err != nil || h.Held(ratelimit.Answers) != 10 || b.Used() != 10 {
		t.Errorf("got %v, %d held, %d used; want 10", err, h.Held(ratelimit.Answers), b.Used())
	}
	h.Correct(ratelimit.Requests, 2000)
	if b.Used() != 2010 {
		t.Errorf("%d used, want what it was corrected to", b.Used())
	}
	h.Correct(ratelimit.Requests, 0)
	h.Shrink(ratelimit.Answers, 1000)
	if b.Used() != 0 {
		t.Errorf("%d used, want 0", b.Used())
	}
}

// A Hold of no budget charges no account and has room for everything.
func TestNoBudgetBoundsNothing(t *testing.T) {
	b := ratelimit.NewBudget(0, 0)
	h := b.Open("one")
	err := errors.Join(h.Grow(ratelimit.Requests, 1<<40), h.Wait(t.Context(), ratelimit.Requests, 1<<40), h.Set(ratelimit.Answers, 1<<40))
	h.Force(ratelimit.Watches, 1)
	h.Shrink(ratelimit.Watches, 1)
	h.Close()
	if err != nil || b.Used() != 0 || b.Short() || b.Stats().Limit != 0 {
		t.Errorf("got %v, %d used", err, b.Used())
	}
}

// If this failed, those who wait for room would be overtaken by smaller ones for ever.
func TestThoseWhoWaitGetRoomInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBudget(1000, 500)
		holder := b.Open("")
		if err := holder.Grow(ratelimit.Requests, 700); err != nil {
			t.Fatal(err)
		}
		var order []string
		var mu sync.Mutex
		var all sync.WaitGroup
		wait := func(name string, h *ratelimit.Hold, n int64) {
			all.Go(func() {
				err := h.Wait(t.Context(), ratelimit.Requests, n)
				mu.Lock()
				defer mu.Unlock()
				if order = append(order, name); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
			synctest.Wait()
		}
		first, second := b.Open("first"), b.Open("second")
		wait("first", &first, 200)
		wait("second", &second, 40)
		holder.Shrink(ratelimit.Requests, 100)
		synctest.Wait()
		if s := b.Stats(); len(order) != 0 || s.Waiting != 2 {
			t.Errorf("%v were let in before the first had room, %d wait", order, s.Waiting)
		}
		holder.Shrink(ratelimit.Requests, 100)
		all.Wait()
		if got := b.Used(); len(order) != 2 || got != 500+240 {
			t.Errorf("got %v, %d used", order, got)
		}
	})
}

// If this failed, a caller at its own limit would keep all others waiting.
func TestOneWhoIsFullHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBudget(1000, 300)
		full, other := b.Open("full"), b.Open("other")
		defer full.Close()
		defer other.Close()
		if err := full.Grow(ratelimit.Answers, 300); err != nil {
			t.Fatal(err)
		}
		extra := b.Open("full")
		defer extra.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- extra.Wait(ctx, ratelimit.Requests, 10) }()
		synctest.Wait()
		if err := other.Wait(t.Context(), ratelimit.Requests, 100); err != nil {
			t.Error(err)
		}
		wantFull(t, "after a second", <-done, ratelimit.Requests, 300, true)
		wantFull(t, "what never fits", extra.Wait(t.Context(), ratelimit.Requests, 301), ratelimit.Requests, 300, true)
		if got := b.Used(); got != 400 || b.Stats().Waiting != 0 {
			t.Errorf("%d used, %d wait", got, b.Stats().Waiting)
		}
		time.Sleep(11 * time.Second)
		if b.Short() {
			t.Error("short long after the last wait")
		}
	})
}

// If this failed, bytes would be lost or counted twice by holds used at once.
func TestBudgetHoldsUnderLoad(t *testing.T) {
	const limit = 10_000
	b := ratelimit.NewBudget(limit, 0)
	var all sync.WaitGroup
	for number := range 16 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(number)))
			for range 200 {
				h := b.Open([]string{"", "a", "b"}[r.IntN(3)])
				for range r.IntN(6) {
					k, n := ratelimit.Kinds()[r.IntN(4)], int64(r.IntN(2000))
					switch r.IntN(4) {
					case 0:
						_ = h.Grow(k, n)
					case 1:
						h.Shrink(k, n)
					case 2:
						_ = h.Set(k, n)
					case 3:
						ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
						_ = h.Wait(ctx, k, n)
						cancel()
					}
					if got := b.Used(); got < 0 || got > limit {
						t.Errorf("used %d of %d", got, limit)
					}
				}
				h.Close()
			}
		})
	}
	all.Wait()
	if s := b.Stats(); b.Used() != 0 || s.Callers != 0 || s.Waiting != 0 {
		t.Errorf("after all were closed: %+v", s)
	}
}

// Who asks for more than there may ever be must be told at once, and not wait in the way of others until
// it gives up: whatever part of the budget is in the way.
func TestWhatNeverFitsDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBudget(1600, 1600)
		h := b.Open("")
		defer h.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, c := range []struct {
			kind ratelimit.Kind
			n    int64
		}{{ratelimit.Watches, 801}, {ratelimit.Waits, 801}, {ratelimit.Connections, 1201}, {ratelimit.Requests, 1201}} {
			began := time.Now()
			if err := h.Wait(ctx, c.kind, c.n); err == nil || time.Since(began) > 0 {
				t.Errorf("%v: got %v after %v", c.kind, err, time.Since(began))
			}
		}
	})
}
