package jwt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// fileEvery and urlEvery are how often keys are read; urlSoon is the least time between two requests for
	// them, after a failure or a token with an unknown kid.
	fileEvery = 10 * time.Second
	urlEvery  = 5 * time.Minute
	urlSoon   = 10 * time.Second
	// agedAfter is how long keys are used that cannot be read again.
	agedAfter = 24 * time.Hour
)

// Keys are the keys that tokens are verified with. They are safe for concurrent use.
type Keys struct {
	opts   Options
	client *http.Client
	work   work
	counts counts

	set atomic.Pointer[keyset]
	// last is when keys were read last, in milliseconds of wall time; 0 is never.
	last atomic.Int64
	// sooner asks for another read, because of a token with an unknown kid. It has room for one.
	sooner chan struct{}

	// why is why keys could not be read when they were last, nil if they were. It is known while they are read again.
	why atomic.Pointer[error]

	// mu is held while keys are read, which may take as long as a request.
	mu struct {
		sync.Mutex
		read []byte // what is in use
	}
}

// New returns Keys that have read none yet.
func New(opts Options) *Keys {
	opts = opts.withDefaults()
	k := &Keys{opts: opts, client: newClient(), work: newWork(opts.Failures), sooner: make(chan struct{}, 1)}
	k.set.Store(new(keyset))
	return k
}

// Load reads the keys now. Keys that cannot be read change nothing, unless those in use were read more than a
// day ago: then no token is accepted any more. A ctx that is canceled is no failure of the source; one whose
// deadline has passed is.
func (k *Keys) Load(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, err := k.fetch(ctx)
	if err == nil && (k.mu.read == nil || !bytes.Equal(b, k.mu.read)) {
		err = k.useLocked(b)
	}
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	before := k.failed()
	if err == nil {
		k.why.Store(nil)
		k.counts.read.Add(1)
		k.last.Store(k.opts.Now().UnixMilli())
		if before != nil {
			k.opts.Logger.Info("the keys of tokens can be read again", "keys", k.Len())
		}
		return nil
	}
	k.why.Store(&err)
	k.counts.failed.Add(1)
	if before == nil || before.Error() != err.Error() {
		k.opts.Logger.Error("the keys of tokens cannot be read: those of before are used for a day, if there are any", "err", err, "keys", k.Len())
	}
	k.ageLocked()
	return fmt.Errorf("keys of tokens: %w", err)
}

// useLocked has tokens verified with the keys of a set.
func (k *Keys) useLocked(b []byte) error {
	set, err := parseSet(b, !IsURL(k.opts.Source))
	if err != nil {
		return err
	}
	k.replace(set)
	k.mu.read = b
	if len(set) == 0 {
		k.opts.Logger.Warn("the set of keys of tokens is empty: no token is accepted")
		return nil
	}
	k.opts.Logger.Info("keys of tokens were read", "keys", len(set))
	return nil
}

// ageLocked forgets keys that are too old.
func (k *Keys) ageLocked() {
	last := k.last.Load()
	if k.Len() == 0 || k.opts.Now().UnixMilli()-last < agedAfter.Milliseconds() {
		return
	}
	k.replace(nil)
	k.mu.read = nil
	k.opts.Logger.Error("the keys of tokens could not be read for a day: no token is accepted until they can")
}

// replace has a set be used. Who is told of it forgets what others have signed before it is.
func (k *Keys) replace(set keyset) {
	if k.opts.Changed != nil {
		k.opts.Changed(set.ids())
	}
	k.set.Store(&set)
}

// Len returns how many keys there are.
func (k *Keys) Len() int { return len(*k.set.Load()) }

// failed returns why keys could not be read when they were last, nil if they were. It never waits.
func (k *Keys) failed() error {
	if err := k.why.Load(); err != nil {
		return *err
	}
	return nil
}

// Run reads the keys again and again until ctx ends: a file every 10 s, a URL every 5 minutes, and 10 s after a
// failure or a token with an unknown kid.
func (k *Keys) Run(ctx context.Context) {
	for {
		every, soon, sooner := fileEvery, fileEvery, (<-chan struct{})(nil)
		if IsURL(k.opts.Source) {
			every, soon, sooner = urlEvery, urlSoon, k.sooner
		}
		if !sleep(ctx, soon, nil) {
			return
		}
		if k.failed() == nil && !sleep(ctx, every-soon, sooner) {
			return
		}
		_ = k.Load(ctx) // it is logged
	}
}

// Reload has the keys be read now if they are in a file, soon if they have a URL. What is wrong with them is
// logged.
func (k *Keys) Reload() {
	if IsURL(k.opts.Source) {
		k.ask()
		return
	}
	_ = k.Load(context.Background()) // it is logged
}

// ask has keys be read soon.
func (k *Keys) ask() {
	select {
	case k.sooner <- struct{}{}:
	default:
	}
}

// sleep waits for a while or for early. It returns false if ctx ended.
func sleep(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-early:
	case <-ctx.Done():
		return false
	}
	return true
}

// errNoKeys is returned while no key was read.
var errNoKeys = errors.New("the keys of tokens were not read yet, or not for a day: see the log")
