package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"

	kw "keywatch/client"
)

// runFor runs the command of a watch for one change. It fails with *childExit if
// the watch was told to end meanwhile and the command failed.
func (w *watcher) runFor(e *kw.Event) error {
	if e.Type != kw.EventPut && e.Type != kw.EventDelete {
		return nil
	}
	cmd := exec.Command("sh", "-c", w.exec)
	cmd.Stdin = bytes.NewReader(e.Value)
	err := w.s.runChild(context.Background(), cmd, eventEnviron(e), 0)
	var child *childExit
	switch {
	case w.s.ctx.Err() != nil:
		return interrupted(w.s, err)
	case errors.As(err, &child):
		w.s.message("for %s of %q the command exited with %d", e.Type, e.Key, child.code)
	case err != nil:
		w.s.message("for %s of %q: %v", e.Type, e.Key, err)
	}
	return nil
}

// eventEnviron is what a command learns of the change that it runs for.
func eventEnviron(e *kw.Event) []string {
	return []string{
		"KEYWATCH_EVENT_TYPE=" + string(e.Type),
		"KEYWATCH_EVENT_KEY=" + e.Key,
		fmt.Sprint("KEYWATCH_EVENT_REV=", e.Rev),
		fmt.Sprint("KEYWATCH_EVENT_VERSION=", e.Version),
		"KEYWATCH_EVENT_CAUSE=" + e.Cause,
		"KEYWATCH_EVENT_POSITION=" + string(e.Position),
	}
}
