package ratelimit

import (
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"
	"golang.org/x/time/rate"
)

// maxCost is the most that one request is charged. It bounds the work of an
// oversized request; a batch has at most 1024 operations.
const maxCost = 65536

// Decision is the answer to one request.
type Decision struct {
	// OK says that the request may run; its cost has been taken.
	OK bool
	// Limit is the burst of the bucket that decided, 0 if the class is not
	// limited.
	Limit int
	// Remaining is how many tokens were left, 0 while in debt.
	Remaining int
	// RetryAfter is, for a refused request, how long until it would pass if
	// nothing else is asked meanwhile, rounded up to a millisecond.
	RetryAfter time.Duration
	// Reset is how long until the bucket is full, rounded up to a millisecond.
	Reset time.Duration
}

// Stats are counts since New, except Callers.
type Stats struct {
	// Callers is how many callers are known now.
	Callers int
	// DeniedReads, DeniedWrites and DeniedWatches count refused requests.
	DeniedReads, DeniedWrites, DeniedWatches int64
	// Overflow counts requests that the shared overflow caller answered for.
	Overflow int64
}

// Limiter keeps the buckets. It is safe for concurrent use; callers that
// are known share no lock with others.
type Limiter struct {
	current    atomic.Pointer[table]
	denied     [classes]*xsync.Counter
	overflowed *xsync.Counter
}

// A table has the buckets of all callers under one set of rates.
type table struct {
	rates   [classes]Rate
	policy  [classes]string
	max     int64
	idle    time.Duration
	started time.Time

	callers   *xsync.MapOf[string, *caller]
	admission sync.Mutex   // held to add a caller
	known     atomic.Int64 // callers in the map
	overflow  *caller
	nextSweep atomic.Int64 // since started, in nanoseconds
}

// caller is what is known of one caller.
type caller struct {
	buckets [classes]*rate.Limiter // nil where the class has no limit
	seen    atomic.Int64           // last request since started, in nanoseconds; or forgotten
}

// forgotten in caller.seen says that the caller has left the map for good.
const forgotten = math.MinInt64

// New returns a Limiter. It panics if opts.Validate returns an error.
func New(opts Options) *Limiter {
	l := &Limiter{overflowed: xsync.NewCounter()}
	for c := range l.denied {
		l.denied[c] = xsync.NewCounter()
	}
	l.Change(opts)
	return l
}

// Change has other limits be in force from now on. Every caller has full buckets
// then; counts stay. It panics if opts.Validate returns an error.
func (l *Limiter) Change(opts Options) {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	l.current.Store(newTable(opts.withDefaults()))
}

func newTable(opts Options) *table {
	t := &table{
		rates: opts.rates(), max: int64(opts.MaxCallers), idle: opts.Idle,
		started: time.Now(), callers: xsync.NewMapOf[string, *caller](),
	}
	for c := range t.rates {
		t.rates[c] = t.rates[c].withBurst()
		t.policy[c] = policy(Class(c), t.rates[c])
	}
	t.overflow = t.newCaller()
	t.nextSweep.Store(int64(t.idle))
	return t
}

// Allow decides on one request of the named caller and charges it if it may
// run. A cost below 1 counts as 1, one above 65536 as 65536.
//
// A request that costs more than the burst passes when the bucket is full,
// and leaves it in debt: nothing of that class passes until the debt is paid
// off. So it is neither impossible nor free, and over time the rate holds.
//
// The name is copied when it has to be kept. Names should be short: memory is
// bounded by their number, not by their length.
func (l *Limiter) Allow(name string, class Class, cost int) Decision {
	t := l.current.Load()
	r := t.rates[class]
	if r.Off() {
		return Decision{OK: true}
	}
	cost = min(max(cost, 1), maxCost)
	now := time.Now()
	t.sweepIfDue(now)
	for {
		c, known := t.caller(name)
		if !known {
			l.overflowed.Inc()
		}
		bucket := c.buckets[class]
		ok := take(bucket, now, cost, r.Burst)
		if !c.touch(int64(now.Sub(t.started))) {
			runtime.Gosched() // the sweep is about to take c out of the map
			continue
		}
		if !ok {
			l.denied[class].Inc()
		}
		return decision(r, ok, min(cost, r.Burst), bucket.TokensAt(now))
	}
}

// Peek decides as Allow does on a request of cost 1, and charges nothing.
func (l *Limiter) Peek(name string, class Class) Decision {
	t := l.current.Load()
	r := t.rates[class]
	if r.Off() {
		return Decision{OK: true}
	}
	c, ok := t.callers.Load(name)
	if !ok && t.known.Load() < t.max {
		return Decision{OK: true, Limit: r.Burst, Remaining: r.Burst}
	}
	if !ok {
		c = t.overflow
	}
	tokens := c.buckets[class].TokensAt(time.Now())
	return decision(r, tokens >= 1, 1, tokens)
}

// Stats returns the counts. It is for metrics, not for every request.
func (l *Limiter) Stats() Stats {
	return Stats{
		Callers:       l.current.Load().callers.Size(),
		DeniedReads:   l.denied[Read].Value(),
		DeniedWrites:  l.denied[Write].Value(),
		DeniedWatches: l.denied[Watch].Value(),
		Overflow:      l.overflowed.Value(),
	}
}

// take charges cost if the bucket allows it. The first charge of an oversized
// cost empties a full bucket in one step, so only one such request can win;
// the rest of its cost is reserved, which is the debt.
func take(bucket *rate.Limiter, now time.Time, cost, burst int) bool {
	if !bucket.AllowN(now, min(cost, burst)) {
		return false
	}
	for cost -= burst; cost > 0; cost -= burst {
		bucket.ReserveN(now, min(cost, burst))
	}
	return true
}

// decision describes a bucket that holds tokens after a request was let in or
// refused; need is what it must hold for the request to pass.
func decision(r Rate, ok bool, need int, tokens float64) Decision {
	d := Decision{OK: ok, Limit: r.Burst}
	d.Remaining = int(max(0, tokens))
	d.Reset = refill(float64(r.Burst)-tokens, r.PerSecond)
	if !ok {
		d.RetryAfter = max(refill(float64(need)-tokens, r.PerSecond), time.Millisecond)
	}
	return d
}

// refill is how long it takes until that many tokens are refilled.
func refill(tokens, perSecond float64) time.Duration {
	if tokens <= 0 {
		return 0
	}
	millis := math.Ceil(tokens / perSecond * 1000)
	return time.Duration(min(millis, math.MaxInt64/2e6)) * time.Millisecond
}

// caller returns the named caller, or the overflow caller, which is not known, if it is new and
// there is no room.
func (t *table) caller(name string) (c *caller, known bool) {
	c, known = t.callers.Load(name)
	if !known {
		c, known = t.admit(name)
	}
	if !known {
		return t.overflow, false
	}
	return c, true
}

// admit adds a caller and reports whether there was room. A flood that finds
// the table full does not get as far as the lock.
func (t *table) admit(name string) (*caller, bool) {
	if t.known.Load() >= t.max {
		return nil, false
	}
	t.admission.Lock()
	defer t.admission.Unlock()
	if c, ok := t.callers.Load(name); ok {
		return c, true
	}
	if t.known.Load() >= t.max {
		return nil, false
	}
	c := t.newCaller()
	t.callers.Store(strings.Clone(name), c)
	t.known.Add(1)
	return c, true
}

func (t *table) newCaller() *caller {
	c := new(caller)
	for class, r := range t.rates {
		if !r.Off() {
			c.buckets[class] = rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst)
		}
	}
	return c
}

// touch notes a request after it has been charged, and reports false if the
// caller has been forgotten meanwhile: the charge is then lost and has to be
// made again. It always changes seen, so that a sweep which has looked at the
// buckets before the charge cannot forget the caller after it.
func (c *caller) touch(at int64) bool {
	for {
		seen := c.seen.Load()
		if seen == forgotten {
			return false
		}
		if c.seen.CompareAndSwap(seen, max(at, seen+1)) {
			return true
		}
	}
}

// sweepIfDue forgets idle callers, about twice in each idle time. One request
// does it for all; the others go on.
func (t *table) sweepIfDue(now time.Time) {
	at := int64(now.Sub(t.started))
	due := t.nextSweep.Load()
	if at < due || !t.nextSweep.CompareAndSwap(due, at+int64(t.idle)/2) {
		return
	}
	t.callers.Range(func(name string, c *caller) bool {
		seen := c.seen.Load()
		if at-seen < int64(t.idle) || !c.full(now) || !c.seen.CompareAndSwap(seen, forgotten) {
			return true
		}
		t.callers.Delete(name)
		t.known.Add(-1)
		return true
	})
}

// full reports whether forgetting c would give it nothing.
func (c *caller) full(now time.Time) bool {
	for _, b := range c.buckets {
		if b != nil && b.TokensAt(now) < float64(b.Burst()) {
			return false
		}
	}
	return true
}
