package main

import (
	kw "keywatch/client"
)

// addCmd adds to a number.
type addCmd struct {
	Key string `arg:"" help:"Key."`
	By  int64  `arg:"" optional:"" default:"1" help:"What to add; may be negative."`
	writeFlags
}

// Help is printed by keywatch add --help.
func (*addCmd) Help() string {
	return `
Adds to the whole number that is the value of KEY, 0 if there is no such key, and prints
the sum. The key keeps its TTL and its lease. Fails if the value is no whole number.

Examples:

    keywatch add visits
    keywatch add stock/42 -3
`
}

// Run adds and prints the sum.
func (c *addCmd) Run(s *session) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	sum, err := s.kw.Add(s.ctx, c.Key, c.By, opts...)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printValue(sum)
	}
	return s.printf("%d\n", sum.Value)
}

// touchCmd gives a key another TTL.
type touchCmd struct {
	Key string `arg:"" help:"Key."`
	TTL string `name:"ttl" required:"" help:"Delete the key after this time, such as 30s; none keeps it for ever." placeholder:"DURATION"`
	writeFlags
}

// Help is printed by keywatch touch --help.
func (*touchCmd) Help() string {
	return `
Gives KEY another TTL and leaves its value as it is. Watchers see the same value with a
new version. Exits with 3 if there is no such key.

Examples:

    keywatch touch session/42 --ttl=30m
    keywatch touch session/42 --ttl=none
`
}

// Run touches and prints the version.
func (c *touchCmd) Run(s *session) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	did, err := c.touch(s, opts)
	if err != nil {
		return err
	}
	return s.printWritten(did)
}

func (c *touchCmd) touch(s *session, opts []kw.WriteOption) (kw.Written, error) {
	if c.TTL == "none" {
		return s.kw.Touch(s.ctx, c.Key, 0, opts...)
	}
	ttl, err := parseDuration(c.TTL)
	if err != nil || ttl <= 0 {
		return kw.Written{}, usagef("--ttl: expected none or a duration such as 30s, got %q", c.TTL)
	}
	return s.kw.Touch(s.ctx, c.Key, ttl, opts...)
}
