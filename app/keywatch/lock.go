package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	kw "keywatch/client"
)

// lockCmd runs a command while it holds a lock.
type lockCmd struct {
	holding
	Wait    string   `help:"How long to wait for the lock, such as 30s; 0 tries once; for ever by default." placeholder:"DURATION" env:"KEYWATCH_LOCK_WAIT"`
	Owner   string   `help:"Shown to those who look at the lock; host and process by default." placeholder:"TEXT" env:"KEYWATCH_LOCK_OWNER"`
	Show    bool     `help:"Print who holds the lock and who waits, instead." xor:"instead"`
	Break   bool     `help:"Take the lock away from whoever holds it, instead." xor:"instead"`
	Name    string   `arg:"" help:"Name of the lock."`
	Command []string `arg:"" optional:"" passthrough:"" help:"Command and its arguments."`
}

// Help is printed by keywatch lock --help.
func (*lockCmd) Help() string {
	return `
Waits for the lock in order of arrival, runs the command while it holds it, and
releases it when the command ends. The lock is kept alive meanwhile. If it is lost
the command and all that it started get SIGTERM and then SIGKILL.

A pause of this machine can always make the command run on for a moment after the
lock has moved on. Writes that name the fence are refused then. The keywatch
commands name it by themselves, from KEYWATCH_FENCE in their environment; curl does
with -H "If-Fence: $KEYWATCH_FENCE". KEYWATCH_LOCK_NAME, _TOKEN and _LEASE are there too.

Exits as the command does; 5 if the lock was not got in time, 6 if it was lost.

Examples:

    keywatch lock deploy -- ./deploy.sh v2
    keywatch lock --wait=0 nightly -- sh -c 'keywatch put last-run "$(date)"'
    keywatch lock --show deploy
    keywatch lock --break deploy
`
}

// Run returns when the command has ended.
func (c *lockCmd) Run(s *session) error {
	if err := c.check(); err != nil {
		return err
	}
	args := command(c.Command)
	switch {
	case (c.Show || c.Break) && len(args) > 0:
		return usagef("no command goes with --show and --break")
	case c.Show:
		return c.show(s)
	case c.Break:
		return s.kw.BreakLock(s.ctx, c.Name)
	case len(args) == 0:
		return usagef("a command is needed: keywatch lock NAME -- COMMAND")
	}
	held, err := c.take(s)
	if err != nil {
		return err
	}
	return c.run(s, held, args)
}

// command returns a command line without the dashes that set it apart.
func command(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

// take gets the lock. A person is told for whom it waits.
func (c *lockCmd) take(s *session) (*kw.Held, error) {
	opts := kw.LockOptions{TTL: c.TTL, Owner: c.Owner}
	if opts.Owner == "" {
		opts.Owner = defaultOwner()
	}
	var wait time.Duration
	if c.Wait != "" {
		var err error
		if wait, err = time.ParseDuration(c.Wait); err != nil || wait < 0 || wait > 5*time.Minute {
			return nil, usagef("--wait is a duration up to 5m, or left out to wait for ever")
		}
	}
	if c.Wait != "" && wait == 0 {
		return s.kw.TryLock(s.ctx, c.Name, opts)
	}
	if isTerminal(s.stderr) {
		held, err := s.kw.TryLock(s.ctx, c.Name, opts)
		var refused *kw.Error
		if !errors.As(err, &refused) || refused.Code != "lock_held" {
			return held, err
		}
		fmt.Fprintf(s.stderr, "keywatch: waiting for %s, %s\n", c.Name, holderHint(refused))
	}
	if c.Wait == "" {
		return s.kw.Lock(s.ctx, c.Name, opts)
	}
	return s.kw.LockWait(s.ctx, c.Name, opts, wait)
}

// lockShown is what the server says of a lock.
type lockShown struct {
	Holder struct {
		Token uint64 `json:"token"`
		Owner string `json:"owner"`
		TTL   int64  `json:"ttl_ms"`
	} `json:"holder"`
	Queue []struct {
		Owner string `json:"owner"`
	} `json:"queue"`
	Waiting int `json:"waiting"`
}

// show prints the holder and the queue.
func (c *lockCmd) show(s *session) error {
	got, err := s.kw.Do(s.ctx, &kw.Request{Path: kw.KeyPath("/v1/locks/", c.Name)})
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(got.Body)
	}
	var l lockShown
	if err := json.Unmarshal(got.Body, &l); err != nil {
		return fmt.Errorf("the server's answer is not JSON: %w", err)
	}
	return l.print(s.stdout)
}

func (l *lockShown) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	ttl := time.Duration(l.Holder.TTL) * time.Millisecond
	fmt.Fprintf(table, "holder\t%s\ttoken=%d ttl=%v\n", preview([]byte(l.Holder.Owner)), l.Holder.Token, ttl)
	for i, waiter := range l.Queue {
		fmt.Fprintf(table, "waiter %d\t%s\t\n", i+1, preview([]byte(waiter.Owner)))
	}
	if more := l.Waiting - len(l.Queue); more > 0 {
		fmt.Fprintf(table, "and %d more\t\t\n", more)
	}
	return table.Flush()
}
