package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	kw "keywatch/client"
)

// watchCmd prints changes until it is interrupted.
type watchCmd struct {
	Keys     []string      `arg:"" name:"key" help:"Keys, and prefixes that end in /; / alone is everything."`
	Since    string        `help:"Resume after this position instead of printing the state first." placeholder:"POSITION"`
	NoState  bool          `help:"Print only what changes from now on."`
	Mode     string        `help:"all: every change; latest: the newest of each key when behind; keys: without values." enum:"all,latest,keys" default:"all" placeholder:"all|latest|keys"`
	Interval time.Duration `help:"With --mode=latest: at most one change of a key in this time." placeholder:"DURATION"`
	Exec     string        `help:"Run this by sh for each change instead of printing it; the value is its standard input." placeholder:"COMMAND"`
}

// Help is printed by keywatch watch --help.
func (*watchCmd) Help() string {
	return `
The state comes first, then every change, in order. When the connection breaks
the watch reconnects and resumes: nothing is missed and nothing printed twice. If
the server no longer knows all that was missed, a line says reset and the state is
printed again. Lines that begin with # are about the watch itself. SIGINT and
SIGTERM end it; it exits with 0.

With -o json each event is one JSON object a line, as the server sends it, and
"pos" is what --since takes.

With --exec a shell runs for each put and delete, one after the other, with the
value as standard input and KEYWATCH_EVENT_TYPE, _KEY, _REV, _VERSION, _CAUSE and, at
the last change of a revision, _POSITION in its environment. When COMMAND fails this is
reported, and the watch continues. ` + childHelp + `
keywatch exits with 0 if COMMAND did, and else with its exit code.

Examples:

    keywatch watch sensors/1
    keywatch watch sensors/ config/app
    keywatch watch --no-state -o json / | jq .key
    keywatch watch --mode=latest --interval=1s sensors/
    keywatch watch --since=7f3a9c21-1042 jobs/
    keywatch watch config/app --exec 'cat > app.yaml && kill -HUP $(cat app.pid)'
`
}

// Run watches until it is interrupted or refused for good.
func (c *watchCmd) Run(s *session) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	w := &watcher{s: s, exec: c.Exec, out: bufio.NewWriter(s.stdout)}
	opts.Raw = s.json()
	opts.Disconnected = w.disconnected
	err = w.run(s.kw.Watch(s.ctx, opts), opts.Keys)
	if unwritten := w.out.Flush(); err == nil {
		err = unwritten
	}
	return err
}

func (c *watchCmd) options() (opts kw.WatchOptions, err error) {
	switch {
	case c.Since != "" && c.NoState:
		return opts, usagef("--since and --no-state cannot be combined")
	case c.Interval != 0 && c.Mode != "latest":
		return opts, usagef("--interval requires --mode=latest")
	}
	opts = kw.WatchOptions{Since: kw.Position(c.Since), Live: c.NoState, Interval: c.Interval}
	if c.Mode != "all" {
		opts.Mode = kw.Mode(c.Mode)
	}
	for _, key := range c.Keys {
		if key == "" {
			return opts, usagef("the key is empty")
		}
		if prefix, ok := prefixOf(key); ok {
			opts.Prefixes = append(opts.Prefixes, prefix)
		} else {
			opts.Keys = append(opts.Keys, key)
		}
	}
	return opts, nil
}

// watcher prints the events of a watch, or runs a command for each.
type watcher struct {
	s    *session
	exec string // what to run for each change, "" to print it
	out  *bufio.Writer
}

// disconnected tells a person why nothing comes.
func (w *watcher) disconnected(err error, back time.Duration) {
	_ = w.out.Flush() // a failure shows at the next write
	w.s.message("%v; reconnecting in %v", err, back.Round(10*time.Millisecond))
}

// run handles events until there are no more. An interrupt is no failure.
func (w *watcher) run(events func(func(kw.Event, error) bool), keys []string) error {
	synced := false
	for e, err := range events {
		if err != nil {
			return interrupted(w.s, err)
		}
		if e.Type == kw.EventSynced && !synced {
			synced = true
			w.explainAbsent(keys)
		}
		if err := w.handle(&e); err != nil || w.s.ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// handle prints one event, or runs the command for it.
func (w *watcher) handle(e *kw.Event) error {
	if w.exec != "" {
		return w.runFor(e)
	}
	if line := w.line(e); line != "" {
		if _, err := w.out.WriteString(line + "\n"); err != nil {
			return err
		}
	}
	if e.Position != "" {
		return w.out.Flush()
	}
	return nil
}

// maxExplained bounds the requests that explain absent keys.
const maxExplained = 8

// explainAbsent tells a person which of the watched keys do not exist: a prefix may
// have been meant.
func (w *watcher) explainAbsent(keys []string) {
	for _, key := range keys[:min(len(keys), maxExplained)] {
		switch exists, below := w.s.lookFor(key); {
		case exists:
		case below:
			w.s.message("key %q does not exist, but keys under %s/ do: to watch those, say keywatch watch %s/", key, key, key)
		default:
			w.s.message("key %q does not exist yet", key)
		}
	}
}

// lookFor reports whether there is such a key, and whether there are keys for which
// it is a folder. When the server cannot say, the key counts as existing.
func (s *session) lookFor(key string) (exists, below bool) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cli.Timeout)
	defer cancel()
	for e, err := range s.kw.List(ctx, key, kw.KeysOnly(), kw.Limit(1)) {
		if err != nil || e.Key == key {
			return true, false
		}
	}
	for _, err := range s.kw.List(ctx, key+"/", kw.KeysOnly(), kw.Limit(1)) {
		return err != nil, err == nil
	}
	return false, false
}

// interrupted returns err unless it is that the command was told to end.
func interrupted(s *session, err error) error {
	var ended *interrupt
	if s.ctx.Err() != nil && errors.As(err, &ended) {
		return nil
	}
	return err
}

// line shows an event; "" is not worth showing.
func (w *watcher) line(e *kw.Event) string {
	if w.s.json() {
		return string(e.Raw)
	}
	switch e.Type {
	case kw.EventProgress:
		return ""
	case kw.EventReset:
		return "# reset: the state follows"
	case kw.EventResync:
		return "# resync: what changed meanwhile follows"
	case kw.EventSynced:
		return "# synced at " + string(e.Position)
	case kw.EventDelete:
		return fmt.Sprintf("delete  %s  version=%d %s", e.Key, e.Version, e.Cause)
	case kw.EventPut:
		return putLine(e)
	}
	return "# " + string(e.Type)
}

func putLine(e *kw.Event) string {
	line := fmt.Sprintf("put     %s  version=%d", e.Key, e.Version)
	if e.TTL > 0 {
		line += " ttl=" + e.TTL.String()
	}
	if e.Skipped > 0 {
		line += fmt.Sprintf(" skipped=%d", e.Skipped)
	}
	if e.Value != nil {
		line += "  " + preview(e.Value)
	}
	return line
}
