package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
)

// runFor runs the command of a watch for one change. It stops with the watch.
func (w *watcher) runFor(e *watchEvent) {
	if e.Type != "put" && e.Type != "delete" {
		return
	}
	value, err := e.value()
	if err == nil {
		cmd := exec.CommandContext(w.s.ctx, "/bin/sh", "-c", w.exec)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(value), w.s.stdout, w.s.stderr
		cmd.Env = append(os.Environ(), e.environ()...)
		err = cmd.Run()
	}
	if err != nil && w.s.ctx.Err() == nil {
		fmt.Fprintf(w.s.stderr, "keywatch: for %s of %q: %v\n", e.Type, e.Key, err)
	}
}

// environ is what a command learns of the change that it runs for.
func (e *watchEvent) environ() []string {
	return []string{
		"KEYWATCH_EVENT_TYPE=" + e.Type,
		"KEYWATCH_EVENT_KEY=" + e.Key,
		fmt.Sprint("KEYWATCH_EVENT_REV=", e.Rev),
		fmt.Sprint("KEYWATCH_EVENT_VERSION=", e.Version),
		"KEYWATCH_EVENT_CAUSE=" + e.Cause,
		"KEYWATCH_EVENT_POSITION=" + e.pos,
	}
}
