package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	kw "keywatch/client"
)

// waitCmd waits until a key is as it should be.
type waitCmd struct {
	Key     string        `arg:"" help:"Key."`
	Value   *string       `help:"Wait until it has this value." xor:"for" placeholder:"TEXT"`
	Absent  bool          `help:"Wait until it does not exist." xor:"for"`
	Changed bool          `help:"Wait until it is written or deleted." xor:"for"`
	For     time.Duration `help:"Give up after this time; 0 is never." default:"0s"`
}

// Help is printed by keywatch wait --help.
func (*waitCmd) Help() string {
	return `
Waits until the key exists, or what a flag says instead, and prints its value byte for
byte, if it has one. It does not poll, and reconnects when the connection is lost. Exits
with 1 if --for is over.

Examples:

    keywatch wait leader
    keywatch wait jobs/7 --value=done --for=5m
    keywatch wait maintenance --absent && ./work
    keywatch wait config/app --changed > app.yaml
`
}

// errWaited is why a wait ends without what it waited for.
var errWaited = errors.New("--for is over")

// Run watches the key.
func (c *waitCmd) Run(s *session) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	ctx := s.ctx
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.For, errWaited)
		defer cancel()
	}
	w := waiting{cmd: c}
	for e, err := range s.kw.Watch(ctx, kw.WatchOptions{Keys: []string{c.Key}}) {
		if errors.Is(context.Cause(ctx), errWaited) {
			return fmt.Errorf("key %q: %w", c.Key, errWaited)
		}
		if err != nil {
			return err
		}
		if w.take(&e) {
			return s.printWaited(w.entry)
		}
	}
	return nil
}

// A waiting follows one key.
type waiting struct {
	cmd *waitCmd
	// entry is what the key is now, nil if it is absent. known says that the state was told
	// once, seen is its revision then, 0 if it was absent.
	entry *kw.Entry
	known bool
	seen  kw.Rev
}

// take notes an event and reports whether the wait is over.
func (w *waiting) take(e *kw.Event) bool {
	switch e.Type {
	case kw.EventReset:
		w.entry = nil
		return false // the state follows
	case kw.EventPut:
		entry := e.Entry
		w.entry = &entry
	case kw.EventDelete:
		w.entry = nil
	case kw.EventSynced:
		first := !w.known
		w.known = true
		if first && w.entry != nil {
			w.seen = w.entry.Rev
		}
	default:
		return false
	}
	return w.known && w.holds(e.Type == kw.EventDelete)
}

// holds reports whether the key is as the command line says. A key that was deleted and is
// created again has changed, whichever of it was seen.
func (w *waiting) holds(deleted bool) bool {
	switch {
	case w.cmd.Absent:
		return w.entry == nil
	case w.cmd.Changed && w.entry == nil:
		return deleted || w.seen != 0
	case w.cmd.Changed:
		return w.entry.Rev != w.seen
	case w.cmd.Value != nil:
		return w.entry != nil && string(w.entry.Value) == *w.cmd.Value
	}
	return w.entry != nil
}

// printWaited prints the value of what was waited for, nothing if it is absent.
func (s *session) printWaited(e *kw.Entry) error {
	if e == nil {
		return nil
	}
	if s.json() {
		return s.printValue(map[string]any{"key": e.Key, "value": string(e.Value), "rev": e.Rev})
	}
	if _, err := s.stdout.Write(e.Value); err != nil {
		return err
	}
	if isTerminal(s.stdout.file) {
		return s.printf("\n")
	}
	return nil
}
