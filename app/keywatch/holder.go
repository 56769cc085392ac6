package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	kw "keywatch/client"
)

// holding is what lock and elect have in common: to hold something while a
// command runs.
type holding struct {
	TTL   time.Duration `name:"ttl" help:"How long the lock outlives this process if it dies." default:"10s"`
	Grace time.Duration `help:"When the lock is lost: time between SIGTERM and SIGKILL." default:"1s"`
}

func (h *holding) check() error {
	if h.TTL < 100*time.Millisecond || h.Grace < 0 {
		return usagef("--ttl must be at least 100ms and --grace not negative")
	}
	return nil
}

// errLockLost ends a command line whose lock was lost.
var errLockLost = fmt.Errorf("the command was stopped: %w", kw.ErrLockLost)

// run runs the command while held lasts, and then releases it. It fails with
// *childExit, or with errLockLost if the lock was lost before the command ended.
func (h *holding) run(s *session, held *kw.Held, args []string) error {
	ctx, cancel := held.Context(context.Background())
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = s.stdin
	err := s.runChild(ctx, cmd, lockEnviron(held, s.cli.Server), h.Grace)
	lost := ctx.Err() != nil
	cancel()
	if lost := h.release(s, held, lost); lost != nil {
		return lost
	}
	return err
}

// release gives the lock back. When the server cannot be reached a warning is
// enough: the lock expires. It fails with errLockLost if the lock is lost.
func (h *holding) release(s *session, held *kw.Held, lost bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cli.Timeout)
	defer cancel()
	err := held.Unlock(ctx)
	switch {
	case lost, errors.Is(err, kw.ErrLockLost):
		return errLockLost
	case err != nil:
		s.message("the lock could not be released; it expires within %v: %v", h.TTL, err)
	}
	return nil
}

// fenceVariable holds the fence of the writes of a command that runs under a lock.
const fenceVariable = "KEYWATCH_FENCE"

// lockEnviron is what a command learns of the lock that it runs under. A lock
// within another adds to the fence of the outer one: a write needs both.
func lockEnviron(held *kw.Held, server string) []string {
	fence := fmt.Sprintf("%s=%d", held.Name(), held.Token())
	if outer := os.Getenv(fenceVariable); outer != "" {
		fence = outer + "," + fence
	}
	return []string{
		"KEYWATCH_SERVER=" + server,
		"KEYWATCH_LOCK_NAME=" + held.Name(),
		fmt.Sprintf("KEYWATCH_LOCK_TOKEN=%d", held.Token()),
		"KEYWATCH_LOCK_LEASE=" + string(held.Lease()),
		fenceVariable + "=" + fence,
	}
}

// defaultOwner names this process to those who look at a lock.
func defaultOwner() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s pid %d", host, os.Getpid())
}
