package ratelimit_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/ratelimit"
)

// spend asks n times for one token and returns how many were let in.
func spend(l *ratelimit.Limiter, name string, class ratelimit.Class, n int) int {
	in := 0
	for range n {
		if l.Allow(name, class, 1).OK {
			in++
		}
	}
	return in
}

// Without it a limit would let through more or less than its burst and rate.
func TestBurstThenRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Options{Writes: ratelimit.Rate{PerSecond: 10, Burst: 20}})
		if got := spend(l, "a", ratelimit.Write, 50); got != 20 {
			t.Errorf("at once: got %d, want the burst of 20", got)
		}
		time.Sleep(time.Second)
		if got := spend(l, "a", ratelimit.Write, 50); got != 10 {
			t.Errorf("a second later: got %d, want 10", got)
		}
		time.Sleep(time.Hour)
		if got := spend(l, "a", ratelimit.Write, 50); got != 20 {
			t.Errorf("an hour later: got %d, want no more than the burst of 20", got)
		}
		if got := l.Stats().DeniedWrites; got != 30+40+30 {
			t.Errorf("denied writes: got %d, want 100", got)
		}
	})
}

// Without it one caller, or one class, could use up another's tokens.
func TestCallersAndClassesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := ratelimit.Rate{PerSecond: 1, Burst: 3}
		l := ratelimit.New(ratelimit.Options{Reads: one, Writes: one, Watches: one})
		for _, name := range []string{"a", "b"} {
			for _, class := range []ratelimit.Class{ratelimit.Read, ratelimit.Write, ratelimit.Watch} {
				if got := spend(l, name, class, 9); got != 3 {
					t.Errorf("%s %s: got %d, want 3", name, class, got)
				}
			}
		}
		want := ratelimit.Stats{Callers: 2, DeniedReads: 12, DeniedWrites: 12, DeniedWatches: 12}
		if got := l.Stats(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// Without it a client that waits as long as it was told could be refused
// again, or be told to wait longer than needed.
func TestRetryAfterIsEnoughAndTight(t *testing.T) {
	for _, rate := range []ratelimit.Rate{{PerSecond: 3, Burst: 7}, {PerSecond: 0.01, Burst: 5}, {PerSecond: 999, Burst: 100}, {PerSecond: 1e-7, Burst: 1}} {
		for _, cost := range []int{1, 3, 7, 500} {
			synctest.Test(t, func(t *testing.T) {
				l := ratelimit.New(ratelimit.Options{Reads: rate})
				for l.Allow("a", ratelimit.Read, 1).OK {
				}
				d := l.Allow("a", ratelimit.Read, cost)
				if d.OK || d.RetryAfter <= 0 {
					t.Fatalf("%v cost %d: got %+v, want a refusal with RetryAfter", rate, cost, d)
				}
				time.Sleep(d.RetryAfter - 2*time.Millisecond)
				if d.RetryAfter > 2*time.Millisecond && l.Allow("a", ratelimit.Read, cost).OK {
					t.Errorf("%v cost %d: let in 2 ms before RetryAfter %v", rate, cost, d.RetryAfter)
				}
				time.Sleep(2 * time.Millisecond)
				if got := l.Allow("a", ratelimit.Read, cost); !got.OK {
					t.Errorf("%v cost %d: refused after waiting %v: %+v", rate, cost, d.RetryAfter, got)
				}
			})
		}
	}
}

// Without it a batch larger than the burst would be impossible, or free.
func TestCostBeyondBurstGoesIntoDebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Options{Writes: ratelimit.Rate{PerSecond: 10, Burst: 10}})
		d := l.Allow("a", ratelimit.Write, 95)
		if want := (ratelimit.Decision{OK: true, Limit: 10, Reset: 9500 * time.Millisecond}); d != want {
			t.Errorf("a full bucket: got %+v, want %+v", d, want)
		}
		d = l.Allow("a", ratelimit.Write, 1)
		if d.OK || d.RetryAfter != 8600*time.Millisecond {
			t.Errorf("in debt by 85: got %+v, want a refusal for 8.6s", d)
		}
		time.Sleep(d.RetryAfter)
		if !l.Allow("a", ratelimit.Write, 1).OK {
			t.Error("refused after the debt was paid")
		}
		if d = l.Allow("a", ratelimit.Write, 11); d.OK || d.RetryAfter != time.Second {
			t.Errorf("oversized on an empty bucket: got %+v, want a refusal for 1s", d)
		}
		time.Sleep(time.Minute)
		l.Allow("a", ratelimit.Write, 1)
		if d = l.Allow("a", ratelimit.Write, 95); d.OK {
			t.Errorf("oversized on a bucket that is not full: got %+v, want a refusal", d)
		}
		if !l.Allow("a", ratelimit.Write, 9).OK {
			t.Error("the refusal took tokens")
		}
	})
}

// Without it a class without a limit would cost memory and time.
func TestZeroRateIsOff(t *testing.T) {
	l := ratelimit.New(ratelimit.Options{Writes: ratelimit.Rate{PerSecond: 1}})
	for range 1000 {
		if d := l.Allow("a", ratelimit.Read, 1024); d != (ratelimit.Decision{OK: true}) {
			t.Fatalf("got %+v, want let in without a limit", d)
		}
	}
	if got := l.Stats().Callers; got != 0 {
		t.Errorf("callers: got %d, want 0", got)
	}
}

// Without it a negative or huge cost could fill a bucket or hang a request.
func TestCostIsClamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Options{Writes: ratelimit.Rate{PerSecond: 1, Burst: 2}})
		l.Allow("a", ratelimit.Write, -1000)
		if d := l.Allow("a", ratelimit.Write, 0); !d.OK || d.Remaining != 0 {
			t.Errorf("got %+v, want the second and last token taken", d)
		}
		if d := l.Allow("b", ratelimit.Write, 1<<62); !d.OK || d.Reset != 65536*time.Second {
			t.Errorf("got %+v, want a debt of 65536 tokens", d)
		}
	})
}

// Without it memory would grow with every caller that ever came, or one that
// is in debt could buy itself free by waiting to be forgotten.
func TestIdleCallersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Options{Writes: ratelimit.Rate{PerSecond: 0.1, Burst: 100}, Idle: time.Minute})
		for i := range 500 {
			l.Allow(fmt.Sprint("idle", i), ratelimit.Write, 1)
		}
		l.Allow("debtor", ratelimit.Write, 5000)
		time.Sleep(10 * time.Minute)
		l.Allow("now", ratelimit.Write, 1)
		if got := l.Stats().Callers; got != 2 {
			t.Errorf("callers: got %d, want 2, the debtor and the one that asks", got)
		}
		if d := l.Allow("debtor", ratelimit.Write, 1); d.OK {
			t.Errorf("debtor: got %+v, want still refused", d)
		}
	})
}

// Without it a flood of made-up callers could fill memory, or lock out those
// that were there before; or the table would stay closed after the flood.
func TestFloodSharesOneBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Options{Reads: ratelimit.Rate{PerSecond: 10, Burst: 50}, MaxCallers: 100, Idle: time.Minute})
		l.Allow("old", ratelimit.Read, 1)
		in := 0
		for i := range 10_000 {
			in += spend(l, fmt.Sprint("flood", i), ratelimit.Read, 1)
		}
		if want := 99 + 50; in != want {
			t.Errorf("let in: got %d, want %d, one for each with a place and the overflow's burst", in, want)
		}
		if got, want := l.Stats(), (ratelimit.Stats{Callers: 100, DeniedReads: 9851, Overflow: 9901}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := spend(l, "old", ratelimit.Read, 100); got != 49 {
			t.Errorf("the old caller: got %d, want 49, its whole bucket less one", got)
		}
		time.Sleep(2 * time.Minute)
		if got := spend(l, "new", ratelimit.Read, 100); got != 50 {
			t.Errorf("a new caller after the flood: got %d, want 50", got)
		}
		if got, want := l.Stats(), (ratelimit.Stats{Callers: 1, DeniedReads: 9851 + 51 + 50, Overflow: 9901}); got != want {
			t.Errorf("after the flood: got %+v, want %+v, a place of its own", got, want)
		}
	})
}

// Without it concurrent requests could be let in twice for one token, or the
// table grow past its bound. Time stands still in the bubble.
func TestConcurrentCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Options{Writes: ratelimit.Rate{PerSecond: 1, Burst: 40}, MaxCallers: 8})
		var in [12]atomic.Int64
		var wg sync.WaitGroup
		for g := range 24 {
			wg.Go(func() {
				for i := range 200 {
					who := (g + i) % 8
					if i%50 == 49 {
						who = 8 + (g+i)%4
					}
					if l.Allow(fmt.Sprint(who), ratelimit.Write, 1).OK {
						in[who].Add(1)
					}
				}
			})
		}
		wg.Wait()
		total := int64(0)
		for i := range in {
			if got := in[i].Load(); got > 40 {
				t.Errorf("caller %d: got %d, want at most its burst of 40", i, got)
			}
			total += in[i].Load()
		}
		if got := l.Stats().Callers; got != 8 {
			t.Errorf("callers: got %d, want 8", got)
		}
		if want := int64(8*40 + 40); total > want {
			t.Errorf("let in altogether: got %d, want at most %d", total, want)
		}
	})
}

// Without it a flood from many connections at once could outgrow the table.
func TestConcurrentFloodKeepsTheBound(t *testing.T) {
	for range 2000 {
		l := ratelimit.New(ratelimit.Options{Writes: ratelimit.Rate{PerSecond: 1}, MaxCallers: 1})
		var wg sync.WaitGroup
		start := make(chan struct{}) // closed when all may begin
		for g := range 8 {
			wg.Go(func() {
				<-start
				l.Allow(fmt.Sprint(g), ratelimit.Write, 1)
			})
		}
		close(start)
		wg.Wait()
		if got := l.Stats(); got.Callers != 1 || got.Overflow != 7 {
			t.Fatalf("got %+v, want one caller known and seven in the overflow", got)
		}
	}
}

// Without it sweeping while requests run could lose a charge: of several
// requests for one token exactly one passes, although each request sweeps and
// callers are forgotten whenever their bucket is full.
func TestSweepLosesNoCharge(t *testing.T) {
	slow := ratelimit.Rate{PerSecond: 1.0 / 3600, Burst: 1}
	l := ratelimit.New(ratelimit.Options{Reads: slow, Writes: slow, Idle: time.Nanosecond})
	for round := range 2000 {
		name := fmt.Sprint(round)
		var in atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { in.Add(int64(spend(l, name, ratelimit.Write, 3))) })
		}
		wg.Wait()
		if got := in.Load(); got != 1 {
			t.Fatalf("round %d: let in %d, want 1", round, got)
		}
		if round%20 == 19 {
			l = ratelimit.New(ratelimit.Options{Writes: slow, Idle: time.Nanosecond})
		}
	}
}

// Without it a mistake in a flag could switch limiting off without a word.
func TestNewRefusesNonsense(t *testing.T) {
	for _, o := range []ratelimit.Options{
		{Reads: ratelimit.Rate{PerSecond: -1}},
		{Reads: ratelimit.Rate{Burst: 5}},
		{Writes: ratelimit.Rate{PerSecond: 1, Burst: -1}},
		{Watches: ratelimit.Rate{PerSecond: 1e300}},
		{MaxCallers: -1},
		{Idle: -1},
	} {
		if o.Validate() == nil {
			t.Errorf("%+v: got no error", o)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New(%+v): got no panic", o)
				}
			}()
			ratelimit.New(o)
		}()
	}
}

func BenchmarkAllow(b *testing.B) {
	names := make([]string, 1024)
	for i := range names {
		names[i] = fmt.Sprintf("10.0.%d.%d", i/256, i%256)
	}
	rate := ratelimit.Rate{PerSecond: 1e6}
	for _, callers := range []int{1, 1024} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l := ratelimit.New(ratelimit.Options{Reads: rate, Writes: rate, Watches: rate})
			var n atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := int(n.Add(511)); pb.Next(); i++ {
					l.Allow(names[i%callers], ratelimit.Write, 1)
				}
			})
		})
	}
}

// BenchmarkFlood is the cost of a caller that finds the table full.
func BenchmarkFlood(b *testing.B) {
	rate := ratelimit.Rate{PerSecond: 10}
	l := ratelimit.New(ratelimit.Options{Writes: rate, MaxCallers: 1})
	l.Allow("first", ratelimit.Write, 1)
	for b.Loop() {
		l.Allow("another", ratelimit.Write, 1)
	}
}

// BenchmarkSweep is what the one request pays that sweeps a full table.
func BenchmarkSweep(b *testing.B) {
	rate := ratelimit.Rate{PerSecond: 10, Burst: 10}
	l := ratelimit.New(ratelimit.Options{Reads: rate, Writes: rate, Watches: rate, Idle: 2})
	for i := range ratelimit.DefaultMaxCallers {
		l.Allow(fmt.Sprint(i), ratelimit.Write, 1024)
	}
	b.ResetTimer()
	for b.Loop() {
		l.Allow("0", ratelimit.Write, 1)
	}
}
