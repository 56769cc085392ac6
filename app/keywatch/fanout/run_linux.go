package fanout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// spareFDs are descriptors for other things than watchers.
const spareFDs = 100

// A run is one measurement under way.
type run struct {
	o    Options
	t    *target
	loop *loop
	pub  *publisher
	r    *Result
	heap func(context.Context) (heapFigures, error)
}

// Run opens the watchers, looks at memory, publishes, and returns what it found.
// It fails with ErrOptions, if the watchers cannot be opened, and with ctx's
// error; what watchers missed is no failure but in the result.
func Run(ctx context.Context, o Options) (*Result, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	x, err := newRun(o)
	if err != nil {
		return nil, err
	}
	defer x.pub.close()
	defer x.loop.close()
	if err := x.open(ctx); err != nil {
		return nil, err
	}
	if x.o.Duration > 0 {
		if err := x.publish(ctx); err != nil {
			return nil, err
		}
	}
	return x.r, nil
}

func newRun(o Options) (*run, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	if uint64(o.Watchers+spareFDs) > limit.Cur {
		return nil, fmt.Errorf("%w: %d watchers, but this process may open %d descriptors", ErrOptions, o.Watchers, limit.Cur)
	}
	x := &run{o: o, r: &Result{Transport: o.Transport, Watchers: o.Watchers, Watches: o.Watchers * o.Watches, Keys: o.Keys}}
	c, err := newClock()
	if err != nil {
		return nil, err
	}
	if x.t, err = newTarget(&x.o); err != nil {
		return nil, err
	}
	if x.pub, err = newPublisher(&x.o, x.t, c); err != nil {
		return nil, err
	}
	if len(o.PIDs) == 0 {
		x.o.PIDs = listeners(x.t.addr)
	}
	x.heap = noHeap
	if !o.foreign() {
		x.heap = x.t.heap
	}
	// Before the loop, which would open watchers at once.
	if err := x.before(); err != nil {
		return nil, err
	}
	x.loop, err = newLoop(&x.o, x.t, c, x.pub.perKey)
	return x, err
}

func (x *run) before() error {
	if len(x.o.PIDs) > 0 {
		u, err := measureAll(x.o.PIDs)
		if err != nil {
			return fmt.Errorf("look at the server: %w", err)
		}
		x.r.Process = &Process{PIDs: x.o.PIDs, RSSBefore: u.rss, RSSAfter: u.rss, FDsBefore: u.fds}
	}
	if h, err := x.heap(context.Background()); err == nil {
		x.r.Heap = &Heap{Before: h.inUse, Stacks: h.stacks}
	}
	return nil
}

// open waits until all watches are complete and looks at memory.
func (x *run) open(ctx context.Context) error {
	began := time.Now()
	at, err := x.await(ctx, "open")
	if err != nil {
		return err
	}
	if x.r.Opened = at.Sub(began).Seconds(); x.o.Watchers == 0 {
		x.r.Opened = 0
	}
	for i := range x.loop.watchers {
		if x.loop.watchers[i].stalled {
			x.r.Stalled++
		}
	}
	if !until(ctx, time.Now().Add(x.o.Settle)) {
		return ctx.Err()
	}
	if x.r.Heap != nil {
		h, err := x.heap(ctx)
		if err != nil {
			return err
		}
		n := float64(max(x.o.Watchers, 1))
		was := *x.r.Heap
		*x.r.Heap = Heap{Before: was.Before, Open: h.inUse, PerWatcher: (h.inUse - was.Before) / n,
			Stacks: (h.stacks - was.Stacks) / n, Goroutines: h.goroutines}
	}
	if p := x.r.Process; p != nil {
		u, err := measureAll(p.PIDs)
		if err != nil {
			return err
		}
		p.RSSOpen, p.RSSAfter, p.FDsOpen = u.rss, u.rss, u.fds
		p.PerWatcher = float64(p.RSSOpen-p.RSSBefore) / float64(max(x.o.Watchers, 1))
	}
	return nil
}

// await waits until all watches are complete and returns when that was.
func (x *run) await(ctx context.Context, what string) (at time.Time, err error) {
	deadline := time.Now().Add(x.o.OpenTimeout)
	told := time.Now()
	for {
		var ready int
		var failure error
		x.loop.do(func() { ready, at, failure = x.loop.ready, x.loop.lastReady, x.loop.failure })
		switch {
		case failure != nil:
			return at, failure
		case ready == x.o.Watchers:
			return at, nil
		case time.Now().After(deadline):
			return at, fmt.Errorf("%s: only %d of %d watchers are complete after %v", what, ready, x.o.Watchers, x.o.OpenTimeout)
		case time.Since(told) > time.Second:
			told = time.Now()
			x.o.Progress(fmt.Sprintf("%s: %d of %d watchers", what, ready, x.o.Watchers))
		}
		if !until(ctx, time.Now().Add(tick)) {
			return at, ctx.Err()
		}
	}
}

// publish publishes for the time asked for, waits for what is under way, and
// adds up.
func (x *run) publish(ctx context.Context) error {
	var before usage
	var err error
	if x.r.Process != nil {
		if before, err = measureAll(x.r.Process.PIDs); err != nil {
			return err
		}
	}
	began := time.Now()
	timed, cancel := context.WithTimeout(ctx, x.o.Duration)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() {
		x.pub.run(timed)
		x.r.Seconds = time.Since(began).Seconds()
	})
	if x.o.Probe > 0 {
		all.Go(func() { x.pub.probe(timed) })
	}
	if x.o.Churn > 0 {
		all.Go(func() { x.churn(timed) })
	}
	err = x.drops(ctx)
	all.Wait()
	if err != nil || ctx.Err() != nil {
		return cmpErr(err, ctx.Err())
	}
	x.drain(ctx)
	return x.after(before)
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// drops drops all connections as often as asked for, evenly over the time, or over more where
// it takes long until they are there again.
func (x *run) drops(ctx context.Context) error {
	for range x.o.Drops {
		if !until(ctx, time.Now().Add(x.o.Duration/time.Duration(x.o.Drops+1))) {
			return nil
		}
		began := time.Now()
		x.loop.do(x.loop.dropAll)
		at, err := x.await(ctx, "reconnect")
		if err != nil {
			return err
		}
		x.r.CameBack = append(x.r.CameBack, at.Sub(began).Seconds())
	}
	return nil
}

// churn drops connections at random until ctx ends.
func (x *run) churn(ctx context.Context) {
	began := time.Now()
	for n := 1; until(ctx, began.Add(time.Duration(float64(n)/x.o.Churn*float64(time.Second)))); n++ {
		x.loop.do(func() { x.loop.dropOne(rand.IntN(len(x.loop.watchers))) })
	}
}

// drain waits until all that was published has come, or nothing comes any more.
func (x *run) drain(ctx context.Context) {
	x.expect()
	var last uint64
	moved := time.Now()
	for {
		var c Counts
		x.loop.do(func() { c = x.loop.count })
		if c.Unique != last {
			last, moved = c.Unique, time.Now()
		}
		if c.Unique >= x.r.Expected || time.Since(moved) > x.o.Drain || !until(ctx, time.Now().Add(tick)) {
			x.r.Counts, x.r.Delivered = c, c.Unique
			x.r.Lost = x.r.Expected - min(c.Unique, x.r.Expected)
			return
		}
	}
}

// expect works out how many values there are to be delivered.
func (x *run) expect() {
	sent, again, errors := x.pub.published()
	x.r.Again, x.r.Errors = again, errors
	for _, n := range sent {
		x.r.Published += n
	}
	for i := range x.loop.watchers {
		if x.loop.watchers[i].stalled {
			continue
		}
		for j := range x.o.Watches {
			x.r.Expected += sent[(i*x.o.Watches+j)%x.o.Keys]
		}
	}
}

func (x *run) after(before usage) error {
	p := x.r.Process
	if p == nil {
		return nil
	}
	u, err := measureAll(p.PIDs)
	if err != nil {
		return err
	}
	p.RSSAfter, p.FDsAfter = u.rss, u.fds
	p.CPU = (u.cpu - before.cpu).Seconds()
	p.PerEvent = p.CPU * 1e6 / float64(max(x.r.Delivered, 1))
	slices.Sort(p.PIDs)
	return nil
}
