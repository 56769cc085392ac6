package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	kw "keywatch/client"
)

// watchCmd prints changes until it is interrupted.
type watchCmd struct {
	Keys     []string `arg:"" name:"key" help:"Keys, and prefixes that end in /; / alone is everything."`
	Since    string   `help:"Continue after this position instead of printing the state first." placeholder:"POSITION"`
	NoState  bool     `help:"Print only what changes from now on."`
	Mode     string   `help:"all: every change; latest: the newest of each key when behind; keys: without values." enum:"all,latest,keys" default:"all" placeholder:"all|latest|keys"`
	Interval string   `help:"With --mode=latest: at most one change of a key in this time, such as 100ms." placeholder:"DURATION"`
	Exec     string   `help:"Run this by sh for each change instead of printing it; the value is its standard input." placeholder:"COMMAND"`
}

// Help is printed by keywatch watch --help.
func (*watchCmd) Help() string {
	return `
The state comes first, then every change, in order. When the connection breaks
the watch comes back by itself and goes on where it was: nothing is missed and
nothing printed twice. If so much was missed that the server no longer knows it,
the state is printed anew after a line that says reset. Lines that begin with #
are about the watch itself. Ctrl-C ends it and exits 0.

With -o json each event is one JSON object a line, as the server sends it, and
"pos" is what --since takes.

With --exec a shell runs for each put and delete, one after the other, with the
value as standard input and KEYWATCH_EVENT_TYPE, _KEY, _REV, _VERSION, _CAUSE and
_POSITION in its environment. One that fails is reported, and the watch goes on.

Examples:

    keywatch watch sensors/1
    keywatch watch sensors/ config/app
    keywatch watch --no-state -o json / | jq .key
    keywatch watch --mode=latest --interval=1s sensors/
    keywatch watch --since=7f3a9c21-1042 jobs/
    keywatch watch config/app --exec 'cat > app.yaml && kill -HUP $(cat app.pid)'
`
}

// Delays of a watch.
const (
	// silence is how long a stream may say nothing; the server's heartbeat
	// comes every 15 s.
	silence = 45 * time.Second
	// comeBack is the delay before coming back, until the server names one.
	comeBack = 2 * time.Second
	// longestComeBack bounds it when coming back fails again and again.
	longestComeBack = 30 * time.Second
)

// Run watches until it is interrupted or refused for good.
func (c *watchCmd) Run(s *session) error {
	r, err := c.request()
	if err != nil {
		return err
	}
	w := &watcher{s: s, exec: c.Exec, request: r, delay: comeBack, out: bufio.NewWriter(s.stdout)}
	return w.run(s.ctx)
}

func (c *watchCmd) request() (*request, error) {
	if c.Since != "" && c.NoState {
		return nil, usagef("--since and --no-state do not go together")
	}
	if c.Interval != "" && c.Mode != "latest" {
		return nil, usagef("--interval goes with --mode=latest")
	}
	r := newRead("/v1/watch")
	for _, key := range c.Keys {
		if key == "" {
			return nil, usagef("the key is empty")
		}
		if prefix, ok := prefixOf(key); ok {
			r.query.Add("prefix", prefix)
		} else {
			r.query.Add("key", key)
		}
	}
	setNonEmpty(r, "since", c.Since)
	setNonEmpty(r, "interval", c.Interval)
	if c.Mode != "all" {
		r.query.Set("mode", c.Mode)
	}
	if c.NoState {
		r.query.Set("state", "0")
	}
	r.header.Set("Accept", "text/event-stream")
	return r, nil
}

// watcher follows one watch over as many connections as it takes.
type watcher struct {
	s       *session
	exec    string // what to run for each change, "" to print it
	request *request
	out     *bufio.Writer

	pos       string        // where to resume, "" until the server has named it
	delay     time.Duration // before coming back, as the server wants it
	failures  int           // connections in a row that brought no event
	connected bool          // whether the server has ever answered
	filling   bool          // between reset or resync and synced
	pending   []watchEvent  // events of a revision that is not complete
}

// watchEvent is one event of the server.
type watchEvent struct {
	Type    string `json:"type"`
	Cause   string `json:"cause"`
	Code    string `json:"code"`
	Skipped uint64 `json:"skipped"`
	entry

	raw []byte
	pos string
}

func (w *watcher) run(ctx context.Context) error {
	for {
		w.failures++
		err := w.follow(ctx)
		w.pending = nil // incomplete: it comes again, whole
		if flushErr := w.out.Flush(); flushErr != nil {
			return flushErr
		}
		if ctx.Err() != nil {
			return nil
		}
		if w.final(err) {
			return err
		}
		wait := w.nextDelay()
		fmt.Fprintf(w.s.stderr, "keywatch: %v; back in %v\n", err, wait.Round(10*time.Millisecond))
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// final reports whether coming back is no use.
func (w *watcher) final(err error) bool {
	var refused *kw.Error
	var output *outputError
	switch {
	case errors.As(err, &refused):
		return !refused.Temporary() && refused.Status < 500
	case errors.As(err, &output), errors.Is(err, errDenied):
		return true
	case errors.Is(err, kw.ErrUnreachable):
		return !w.connected
	}
	return false
}

// nextDelay spreads watchers that were cut off together: the server's delay,
// doubled for every further failure, and up to a quarter more.
func (w *watcher) nextDelay() time.Duration {
	d := w.delay
	for range w.failures - 1 {
		d = min(2*d, longestComeBack)
	}
	return d + rand.N(d/4+1)
}

// errDenied is the end of a watch whose credential has ended.
var errDenied = errors.New("the credential for this watch has ended (denied)")

// outputError is output that could not be printed.
type outputError struct{ err error }

func (e *outputError) Error() string { return e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// follow opens one connection and prints its events until it ends, which is
// always an error.
func (w *watcher) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(fmt.Errorf("nothing heard for %v", silence)) })
	defer quiet.Stop()
	if w.pos != "" {
		w.request.header.Set("Last-Event-ID", w.pos) // wins over since and state
	}
	resp, err := w.s.client.open(ctx, w.request)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer resp.Body.Close()
	w.connected = true
	in := newSSEReader(resp.Body, func() { quiet.Reset(silence) })
	for {
		e, err := in.next()
		if err == io.EOF {
			return errors.New("the stream ended")
		}
		if err != nil {
			return causeOf(ctx, fmt.Errorf("the stream broke: %w", err))
		}
		if err := w.take(e); err != nil {
			return err
		}
		if !in.buffered() {
			if err := w.out.Flush(); err != nil {
				return &outputError{err}
			}
		}
	}
}

// causeOf returns why ctx was cancelled, if it was, else err.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// take takes in one event. Events of a revision wait for its last, which is
// the one with the position, so that none is printed twice after a resume;
// events of a state do not, because a cut state starts over visibly.
func (w *watcher) take(e sseEvent) error {
	if e.retry > 0 {
		w.delay = e.retry
	}
	if e.data == "" {
		return nil
	}
	event := watchEvent{raw: []byte(e.data), pos: e.id}
	if err := json.Unmarshal(event.raw, &event); err != nil {
		return fmt.Errorf("an event is not JSON: %w", err)
	}
	if event.Type == "bye" {
		return w.bye(event)
	}
	w.failures = 0
	switch event.Type {
	case "reset", "resync":
		w.filling, w.pending = true, nil
	case "synced":
		w.filling = false
	}
	w.pending = append(w.pending, event)
	if e.hasID || w.filling || event.Type == "denied" {
		if err := w.printPending(); err != nil {
			return err
		}
	}
	if e.hasID {
		w.pos = e.id
	}
	if event.Type == "denied" {
		return errDenied
	}
	return nil
}

// bye ends a connection that the server wants to be rid of for a while.
func (w *watcher) bye(e watchEvent) error {
	if e.Code == "" {
		return errors.New("the server said bye")
	}
	return fmt.Errorf("the server said bye (%s)", e.Code)
}

func (w *watcher) printPending() error {
	for _, e := range w.pending {
		if w.exec != "" {
			w.runFor(&e)
			continue
		}
		line := e.line()
		if w.s.json() {
			line = string(withField(e.raw, "pos", e.pos))
		}
		if line == "" {
			continue
		}
		if _, err := w.out.WriteString(line + "\n"); err != nil {
			return &outputError{err}
		}
	}
	w.pending = w.pending[:0]
	return nil
}

// line shows an event to a person; "" is not worth showing.
func (e *watchEvent) line() string {
	switch e.Type {
	case "progress":
		return ""
	case "reset":
		return "# reset: the state follows"
	case "resync":
		return "# resync: what changed meanwhile follows"
	case "synced":
		return "# synced at " + e.pos
	case "delete":
		return fmt.Sprintf("delete  %s  version=%d %s", e.Key, e.Version, e.Cause)
	case "put":
		return e.putLine()
	}
	return "# " + e.Type
}

func (e *watchEvent) putLine() string {
	line := fmt.Sprintf("put     %s  version=%d", e.Key, e.Version)
	if e.TTL != nil {
		line += " ttl=" + ttlText(e.TTL)
	}
	if e.Skipped > 0 {
		line += fmt.Sprintf(" skipped=%d", e.Skipped)
	}
	value, err := e.value()
	if err != nil {
		return line + "  <" + err.Error() + ">"
	}
	if e.Value != nil {
		line += "  " + preview(value)
	}
	return line
}
