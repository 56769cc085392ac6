package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	kw "keywatch/client"
)

// holding is what lock and elect have in common: to hold something while a
// command runs.
type holding struct {
	TTL   time.Duration `name:"ttl" help:"How long the lock outlives this process if it dies." default:"10s" env:"KEYWATCH_LOCK_TTL"`
	Grace time.Duration `help:"When the lock is lost: time between SIGTERM and SIGKILL." default:"1s" env:"KEYWATCH_LOCK_GRACE"`
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
	whole := true
	c, err := s.startChild(args, lockEnviron(held, s.cli.Server))
	if err == nil {
		ctx, cancel := held.Context(context.Background())
		whole = c.run(ctx, h.Grace)
		cancel()
		err = c.exit()
	}
	if lost := h.release(s, held, whole); lost != nil {
		return lost
	}
	return err
}

// release gives the lock back. Not to reach the server then is not worth more
// than a warning: the lock ends by itself.
func (h *holding) release(s *session, held *kw.Held, whole bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cli.Timeout)
	defer cancel()
	err := held.Unlock(ctx)
	switch {
	case !whole, errors.Is(err, kw.ErrLockLost):
		return errLockLost
	case err != nil:
		fmt.Fprintf(s.stderr, "keywatch: the lock is not released, it ends within %v: %v\n", h.TTL, err)
	}
	return nil
}

// lockEnviron is what a command learns of the lock that it runs under. The
// keywatch commands take KEYWATCH_FENCE and KEYWATCH_SERVER by themselves.
func lockEnviron(held *kw.Held, server string) []string {
	return []string{
		"KEYWATCH_SERVER=" + server,
		"KEYWATCH_LOCK_NAME=" + held.Name(),
		fmt.Sprintf("KEYWATCH_LOCK_TOKEN=%d", held.Token()),
		"KEYWATCH_LOCK_LEASE=" + string(held.Lease()),
		fmt.Sprintf("KEYWATCH_FENCE=%s=%d", held.Name(), held.Token()),
	}
}

// defaultOwner says who this is, for those who look at a lock.
func defaultOwner() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s pid %d", host, os.Getpid())
}
