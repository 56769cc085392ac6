package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// ErrDenied ends a watch whose credential has ended, and Options.TokenSource has no other.
var ErrDenied = errors.New("the credential has ended")

const (
	// silence is how long a stream may say nothing by default; a server sends
	// progress every 15 s.
	silence = 45 * time.Second
	// firstReturn and longestReturn bound the delay before a watch reconnects.
	firstReturn, longestReturn = 500 * time.Millisecond, 30 * time.Second
)

// Mode says which changes a watch tells.
type Mode string

const (
	// ModeAll is every change; the default.
	ModeAll Mode = ""
	// ModeLatest is the newest version of each key when the watcher is behind,
	// or at most one in each interval.
	ModeLatest Mode = "latest"
	// ModeKeys is every change, without values.
	ModeKeys Mode = "keys"
)

// WatchOptions say what to watch. At least one key or prefix is needed.
type WatchOptions struct {
	// Keys and Prefixes select. The prefix "" is everything.
	Keys, Prefixes []string
	// Since resumes after a position instead of beginning with the state.
	Since Position
	// Live leaves the state out: only what changes from now on is told, after
	// an EventSynced that carries the position.
	Live bool
	// Mode is ModeAll by default. Interval requires ModeLatest.
	Mode     Mode
	Interval time.Duration
	// Raw sets Event.Raw.
	Raw bool
	// Silence is how long the server may say nothing before the connection is
	// given up; 45 s. It must be longer than the server's --heartbeat.
	Silence time.Duration
	// Disconnected, if not nil, is called each time the connection is lost,
	// with the reason and the time until the next attempt. It runs in the
	// goroutine that ranges over the watch and must not wait.
	Disconnected func(err error, back time.Duration)
}

// Watch tells what happens to keys, in order and without a gap. When its
// connection is lost it reconnects, with full jitter, and resumes where it was; the
// server's bye says when. A revision comes whole: its events follow
// each other and the last one has the position. It begins with EventReset and
// the state, or with Live or Since with what happens after.
//
// Leaving the loop ends the watch. The last element is an error: why ctx ended,
// ErrDenied, or the *Error of a server that refuses for good.
func (c *Client) Watch(ctx context.Context, opts WatchOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w := &watcher{c: c, opts: opts, pos: opts.Since, at: int(c.preferred.Load()), yield: yield}
		if w.opts.Silence == 0 {
			w.opts.Silence = silence
		}
		if err := w.run(ctx); err != nil {
			yield(Event{}, err)
		}
	}
}

// errLeft says that the loop over the events was left.
var errLeft = errors.New("left")

// watcher is one watch over as many connections as it takes.
type watcher struct {
	c     *Client
	opts  WatchOptions
	yield func(Event, error) bool

	at        int    // endpoint
	token     string // that the connection was opened with, if there is a TokenSource
	pos       Position
	failures  int     // connections in a row that told nothing
	resyncing bool    // between resync and synced
	state     bool    // between reset and synced
	pending   []Event // of a revision or resync that is not complete
}

// run returns nil once the loop was left.
func (w *watcher) run(ctx context.Context) error {
	for {
		w.failures++
		w.pending, w.resyncing, w.state = nil, false, false // what is incomplete comes again
		err := w.follow(ctx)
		switch {
		case err == errLeft:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case w.final(err):
			return err
		}
		wait := w.delay(err)
		if w.opts.Disconnected != nil {
			w.opts.Disconnected(err, wait)
		}
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}

// final reports whether coming back is no use.
func (w *watcher) final(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return !e.Temporary() && e.Status < 500
	}
	var unreachable *unreachableError
	if errors.As(err, &unreachable) && w.c.opts.FailFast && w.pos == "" {
		return w.failures >= len(w.c.dir.all())
	}
	if errors.Is(err, ErrDenied) {
		return !w.renewed()
	}
	return errors.Is(err, ErrNotKeywatch)
}

// renewed reports whether a watch whose credential has ended can continue with another. One that
// ends before it told anything cannot.
func (w *watcher) renewed() bool {
	if w.c.opts.TokenSource == nil || w.failures > 0 {
		return false
	}
	w.c.tokens.forget(w.token)
	return true
}

// delay moves on to the next endpoint and returns when to ask it.
func (w *watcher) delay(err error) time.Duration {
	n, again := len(w.c.dir.all()), max(0, w.failures-1)
	w.at = (w.at + 1) % n
	var bye *byeError
	var e *Error
	switch {
	case errors.As(err, &bye) && bye.after > 0:
		w.at = w.c.leave(w.at, (w.at+n-1)%n, bye.endpoints)
		return bye.after
	case errors.As(err, &e):
		return e.RetryAfter + backoff(firstReturn, longestReturn, again)
	case w.failures%n != 0:
		return backoff(firstReturn, firstReturn, 0)
	}
	return backoff(firstReturn, longestReturn, again/n)
}

// follow opens one connection and tells its events until it ends, which is
// always an error.
func (w *watcher) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(w.opts.Silence, func() {
		cancel(fmt.Errorf("nothing heard for %v", w.opts.Silence))
	})
	defer quiet.Stop()
	s, err := w.open(ctx)
	if err != nil {
		return because(ctx, err)
	}
	defer s.Close()
	for {
		line, err := s.line()
		if err != nil {
			return because(ctx, &lostError{fmt.Errorf("the stream broke: %w", err)})
		}
		quiet.Stop() // the time that the loop takes is not the server's
		if err := w.take(line); err != nil {
			return err
		}
		quiet.Reset(w.opts.Silence)
	}
}

// take takes in one line.
func (w *watcher) take(line []byte) error {
	e, err := parseEvent(line)
	if err != nil {
		return err
	}
	if w.opts.Raw {
		e.Raw = bytes.Clone(line)
	}
	w.failures = 0
	w.c.preferred.Store(uint32(w.at))
	w.c.learn()
	switch e.Type {
	case EventReset:
		w.pending, w.state, w.resyncing = nil, true, false
	case EventResync:
		w.pending, w.resyncing, w.state = nil, true, false
	case EventSynced:
		w.resyncing, w.state = false, false
	}
	w.pending = append(w.pending, e)
	if w.resyncing || e.Position == "" && !w.state {
		return nil // a revision comes whole, and so does a resync
	}
	return w.tell(e.Position)
}

// tell hands over what is pending and moves on to pos, if there is one.
func (w *watcher) tell(pos Position) error {
	for _, e := range w.pending {
		if !w.yield(e, nil) {
			return errLeft
		}
	}
	w.pending = w.pending[:0]
	if pos != "" {
		w.pos = pos
	}
	return nil
}
