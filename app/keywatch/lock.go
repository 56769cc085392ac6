package main

import (
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
	fenced
	Wait    *time.Duration `help:"How long to wait for the lock, up to 5m; 0 tries once; without a bound by default." placeholder:"DURATION"`
	Owner   string         `help:"Shown to those who look at the lock; host and process by default." placeholder:"TEXT"`
	Show    bool           `help:"Print who holds the lock and who waits, instead." xor:"instead"`
	Break   bool           `help:"Take the lock away from its holder, instead." xor:"instead"`
	Name    string         `arg:"" help:"Name of the lock."`
	Command []string       `arg:"" optional:"" passthrough:"" help:"Command and its arguments."`
}

// Help is printed by keywatch lock --help.
func (*lockCmd) Help() string {
	return `
Waits for the lock in order of arrival, runs COMMAND while it holds it, and releases
it when COMMAND ends. The lock is kept alive meanwhile. If it is lost, COMMAND and all
that it started get SIGTERM, and SIGKILL after --grace.

` + childHelp + `

A pause of this machine can make COMMAND run on for a moment after another client got
the lock. Writes that carry the fence are refused then. KEYWATCH_FENCE in the
environment of COMMAND has the fence of this lock and of those around it. The keywatch
commands send it with each write; curl does with -H "If-Fence: $KEYWATCH_FENCE".
KEYWATCH_LOCK_NAME, _TOKEN and _LEASE are those of this lock.

Exits with the exit code of COMMAND; 5 if the lock was not got in time, 6 if it was
lost.

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
		return usagef("--show and --break cannot be combined with a command")
	case c.Show:
		return c.show(s)
	case c.Break:
		return c.breakLock(s)
	case len(args) == 0:
		return usagef("expected a command: keywatch lock NAME -- COMMAND")
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

// breakLock takes the lock away from its holder.
func (c *lockCmd) breakLock(s *session) error {
	opts, err := c.fenced.options()
	if err != nil {
		return err
	}
	return s.kw.BreakLock(s.ctx, c.Name, opts...)
}

// longestWait is the longest that a server lets a caller wait.
const longestWait = 5 * time.Minute

// take gets the lock. A person is told for whom it waits.
func (c *lockCmd) take(s *session) (*kw.Held, error) {
	fences, err := c.fenced.options()
	if err != nil {
		return nil, err
	}
	opts := kw.LockOptions{TTL: c.TTL, Owner: c.Owner, Fences: fences}
	if opts.Owner == "" {
		opts.Owner = defaultOwner()
	}
	switch {
	case c.Wait != nil && *c.Wait > longestWait:
		return nil, usagef("--wait must be at most %v; leave it out to wait without a bound", longestWait)
	case c.Wait != nil && *c.Wait == 0:
		return s.kw.TryLock(s.ctx, c.Name, opts)
	}
	if isTerminal(s.stderr.file) {
		held, err := s.kw.TryLock(s.ctx, c.Name, opts)
		var refused *kw.Error
		if !errors.As(err, &refused) || refused.Code != "lock_held" {
			return held, err
		}
		s.message("waiting for %s, %s", c.Name, holderHint(refused))
	}
	if c.Wait == nil {
		return s.kw.Lock(s.ctx, c.Name, opts)
	}
	return s.kw.LockWait(s.ctx, c.Name, opts, *c.Wait)
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
	if err := decode(got.Body, &l); err != nil {
		return err
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
