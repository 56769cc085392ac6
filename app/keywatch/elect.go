package main

import (
	"errors"
	"fmt"

	kw "keywatch/client"
)

// electCmd runs a command while it leads.
type electCmd struct {
	holding
	Value   string   `help:"What the leader shows, such as its address; host and process by default." placeholder:"TEXT" env:"KEYWATCH_ELECT_VALUE"`
	Observe bool     `help:"Print who leads, and each change, instead; one line each, empty for nobody."`
	Name    string   `arg:"" help:"Name of the election; it is one of the locks."`
	Command []string `arg:"" optional:"" passthrough:"" help:"Command and its arguments."`
}

// Help is printed by keywatch elect --help.
func (*electCmd) Help() string {
	return `
Waits until it leads, and runs the command while it does. If it leads no longer
the command is stopped as with keywatch lock, and this process stands again. When
the command ends by itself it resigns and exits as the command does. The
environment is that of keywatch lock. Who leads is the value of locks/NAME.

Examples:

    keywatch elect scheduler -- ./scheduler
    keywatch elect --value=http://10.0.0.7:8080 api -- ./serve
    keywatch elect --observe scheduler
    keywatch get locks/scheduler
`
}

// Run returns when the command has ended by itself.
func (c *electCmd) Run(s *session) error {
	if err := c.check(); err != nil {
		return err
	}
	args, election := command(c.Command), s.kw.Election(c.Name, c.TTL)
	switch {
	case c.Observe && len(args) > 0:
		return usagef("no command goes with --observe")
	case c.Observe:
		return c.observe(s, election)
	case len(args) == 0:
		return usagef("a command is needed: keywatch elect NAME -- COMMAND")
	}
	value := c.Value
	if value == "" {
		value = defaultOwner()
	}
	for {
		lead, err := election.Campaign(s.ctx, value)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.stderr, "keywatch: leading %s, token %d\n", c.Name, lead.Token())
		err = c.run(s, lead.Held, args)
		if !errors.Is(err, kw.ErrLockLost) || s.ctx.Err() != nil {
			return err
		}
		fmt.Fprintf(s.stderr, "keywatch: no longer leading %s; standing again\n", c.Name)
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
