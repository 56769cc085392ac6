package main

import (
	"errors"

	kw "keywatch/client"
)

// electCmd runs a command while it leads.
type electCmd struct {
	holding
	fenced
	Value   string   `help:"What the leader shows, such as its address; host and process by default." placeholder:"TEXT"`
	Observe bool     `help:"Print the leader, and each change, instead; one line each, empty when there is no leader."`
	Name    string   `arg:"" help:"Name of the election; it is one of the locks."`
	Command []string `arg:"" optional:"" passthrough:"" help:"Command and its arguments."`
}

// Help is printed by keywatch elect --help.
func (*electCmd) Help() string {
	return `
Waits until it leads, and runs COMMAND while it does. When it no longer leads, COMMAND
gets SIGTERM, and SIGKILL after --grace, and keywatch campaigns again. When COMMAND
ends on its own keywatch resigns and exits with its exit code.

` + childHelp + `

The environment is that of keywatch lock. Within another lock it campaigns only while
that is held, and exits with 6 once it is not. The leader is the value of locks/NAME.

Examples:

    keywatch elect scheduler -- ./scheduler
    keywatch elect --value=http://10.0.0.7:8080 api -- ./serve
    keywatch elect --observe scheduler
    keywatch get locks/scheduler
`
}

// Run returns when the command has ended on its own.
func (c *electCmd) Run(s *session) error {
	if err := c.check(); err != nil {
		return err
	}
	args, election := command(c.Command), s.kw.Election(c.Name, c.TTL)
	switch {
	case c.Observe && len(args) > 0:
		return usagef("--observe and a command cannot be combined")
	case c.Observe:
		return c.observe(s, election)
	case len(args) == 0:
		return usagef("expected a command: keywatch elect NAME -- COMMAND")
	}
	fences, err := c.fenced.options()
	if err != nil {
		return err
	}
	value := c.Value
	if value == "" {
		value = defaultOwner()
	}
	for {
		lead, err := election.Campaign(s.ctx, value, fences...)
		if err != nil {
			return err
		}
		s.message("leading %s, token %d", c.Name, lead.Token())
		err = c.run(s, lead.Held, args)
		if !errors.Is(err, kw.ErrLockLost) || s.ctx.Err() != nil {
			return err
		}
		s.message("no longer leading %s; campaigning again", c.Name)
	}
}

// observe prints leaders until it is interrupted.
func (c *electCmd) observe(s *session, election *kw.Election) error {
	for leader, err := range election.Observe(s.ctx) {
		switch {
		case s.ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case s.json():
			err = s.printValue(map[string]any{"leader": leader.Value, "token": leader.Token})
		default:
			err = s.printf("%s\n", leader.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
