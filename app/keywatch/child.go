package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// childHelp is the rule for commands that keywatch runs.
const childHelp = `SIGINT, SIGTERM and SIGHUP are passed on to COMMAND and to all that it started, and
keywatch exits when COMMAND has ended. What is left of its process group then is
killed.`

// childExit is the exit code of a command that was run; the command itself has said
// what is wrong.
type childExit struct{ code int }

func (e *childExit) Error() string { return fmt.Sprintf("the command exited with %d", e.code) }

// Exit codes of a command that could not be run, as shells have them, and what is
// added to the number of a signal that ended it.
const (
	exitNotExecutable = 126
	exitNoCommand     = 127
	exitSignal        = 128
)

// child is a command that runs in a process group of its own, so that all it
// has started can be ended with it.
type child struct {
	cmd *exec.Cmd
	// ended is closed when the command has ended; err says how.
	ended chan struct{}
	err   error
	// told is set once the command was asked to end, passed if it was by a signal that keywatch got.
	told, passed bool
}

// runChild starts cmd, whose output and environment are those of keywatch with env
// added, and waits until it has ended. Signals that ask keywatch to end are passed
// on. When held ends first, the command gets SIGTERM, and SIGKILL after grace. It
// fails with *childExit unless the command exited with 0.
func (s *session) runChild(held context.Context, cmd *exec.Cmd, env []string, grace time.Duration) error {
	// Before the start, so that no signal falls between the two.
	signals := make(chan os.Signal, 8) // signals as they arrive; never closed
	signal.Notify(signals, endSignals()...)
	defer signal.Stop(signals)
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	cmd.Stdout, cmd.Stderr = s.stdout.file, s.stderr.file
	cmd.Env = append(os.Environ(), env...)
	c := &child{cmd: cmd, ended: make(chan struct{})}
	if err := c.start(); err != nil {
		s.message("cannot run the command: %v", err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return &childExit{exitNoCommand}
		}
		return &childExit{exitNotExecutable}
	}
	c.wait(held, signals, grace)
	if c.passed { // the signal ends the context too, in a goroutine that may come later; SIGHUP may not
		select {
		case <-s.ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return c.exit()
}

// start starts the command.
func (c *child) start() error {
	c.cmd.WaitDelay = time.Second // for those who keep its output open
	own(c.cmd)
	started := make(chan error) // how the start went, sent once
	go func() {
		// The kernel ends the command when the thread that started it ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.err = c.cmd.Wait()
			reclaim(c.cmd)
			close(c.ended)
		}
	}()
	return <-started
}

// wait returns when the command has ended.
func (c *child) wait(held context.Context, signals <-chan os.Signal, grace time.Duration) {
	for {
		select {
		case <-c.ended:
			c.killRest()
			return
		case <-held.Done():
			c.stop(grace)
			return
		case sig := <-signals:
			if sig, ok := sig.(syscall.Signal); ok {
				c.told, c.passed = true, true
				signalGroup(c.cmd, sig)
			}
		}
	}
}

// stop asks the command to end, and kills it after grace.
func (c *child) stop(grace time.Duration) {
	c.told = true
	signalGroup(c.cmd, syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
		signalGroup(c.cmd, syscall.SIGKILL)
		<-c.ended
	}
	c.killRest()
}

// killRest kills what a command that was told to end has left behind.
func (c *child) killRest() {
	if c.told {
		signalGroup(c.cmd, syscall.SIGKILL)
	}
}

// exit returns nil if the command, which has ended, exited with 0, and else a
// *childExit; exitSignal and its number if it was a signal.
func (c *child) exit() error {
	var e *exec.ExitError
	switch {
	case c.err == nil || errors.Is(c.err, exec.ErrWaitDelay):
		return nil
	case !errors.As(c.err, &e):
		return c.err
	}
	if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return &childExit{exitSignal + int(status.Signal())}
	}
	return &childExit{e.ExitCode()}
}
