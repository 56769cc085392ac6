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

// childExit is the exit code of a command that was run; it was the command's to
// say what is wrong.
type childExit struct{ code int }

func (e *childExit) Error() string { return fmt.Sprintf("the command exited with %d", e.code) }

// Exit codes of a command that could not be run, as shells have them.
const (
	exitNotExecutable = 126
	exitNoCommand     = 127
)

// child is a command that runs in a process group of its own, so that all it
// has started can be ended with it.
type child struct {
	cmd *exec.Cmd
	// ended is closed when the command has ended; err says how.
	ended chan struct{}
	err   error
}

// startChild starts a command with env added to the environment. It fails with
// a *childExit if there is no such command.
func (s *session) startChild(args, env []string) (*child, error) {
	c := &child{cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = s.stdin, s.stdout, s.stderr
	c.cmd.Env = append(os.Environ(), env...)
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
	if err := <-started; err != nil {
		fmt.Fprintf(s.stderr, "keywatch: error: %v\n", err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return nil, &childExit{exitNoCommand}
		}
		return nil, &childExit{exitNotExecutable}
	}
	return c, nil
}

// exit returns nil if the command, which has ended, exited with 0, and else a
// *childExit; 128 and its number if it was a signal.
func (c *child) exit() error {
	var e *exec.ExitError
	switch {
	case c.err == nil || errors.Is(c.err, exec.ErrWaitDelay):
		return nil
	case !errors.As(c.err, &e):
		return c.err
	}
	if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return &childExit{128 + int(status.Signal())}
	}
	return &childExit{e.ExitCode()}
}

// stop asks the command to end, and after grace kills all that is left of its
// group. It returns when the command has ended.
func (c *child) stop(grace time.Duration) {
	signalGroup(c.cmd, syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(grace):
	}
	signalGroup(c.cmd, syscall.SIGKILL)
	<-c.ended
}

// run waits for the command, and passes on signals that are meant for it. If
// held ends first the command is stopped, and run returns false.
func (c *child) run(held context.Context, grace time.Duration) (whole bool) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	for {
		select {
		case <-c.ended:
			return held.Err() == nil
		case <-held.Done():
			c.stop(grace)
			return false
		case sig := <-signals:
			if sig, ok := sig.(syscall.Signal); ok {
				signalGroup(c.cmd, sig)
			}
		}
	}
}
