package main

import (
	kw "keywatch/client"
)

// casCmd replaces a value by value.
type casCmd struct {
	Key    string   `arg:"" help:"Key."`
	Values []string `arg:"" optional:"" help:"The expected value, then the new one; - reads standard input, @FILE reads a file."`
	Absent bool     `help:"The key must not exist; give only the new value." xor:"form"`
	Delete bool     `help:"Delete the key; give only the expected value." xor:"form"`
	TTL    ttl      `name:"ttl" help:"Delete the key after this time, such as 30s; keep leaves the time that it has." placeholder:"DURATION"`
	writeFlags
}

// Help is printed by keywatch cas --help.
func (*casCmd) Help() string {
	return `
cas KEY EXPECTED NEW sets KEY to NEW only if its value is EXPECTED. Otherwise it
exits with 4 and changes nothing. A number may be negative; any other value that begins
with - goes after --.

Examples:

    keywatch cas jobs/7 pending running
    keywatch cas jobs/7 --absent pending
    keywatch cas jobs/7 --delete done
    keywatch cas balance 0 -5
    keywatch cas config/app @old.yaml @new.yaml
`
}

// Run swaps and prints the outcome.
func (c *casCmd) Run(s *session) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	values, err := c.readValues(s)
	if err != nil {
		return err
	}
	opts, err := c.writeFlags.options()
	if err != nil {
		return err
	}
	if c.TTL.given {
		opts = append(opts, c.TTL.option())
	}
	if c.Delete {
		if _, err := s.kw.Delete(s.ctx, c.Key, append(opts, kw.If(kw.IfValue(values[0])))...); err != nil {
			return err
		}
		return s.printDeleted()
	}
	cond := kw.IfAbsent()
	if !c.Absent {
		cond = kw.IfValue(values[0])
	}
	did, err := s.kw.CompareAndSwap(s.ctx, c.Key, cond, values[len(values)-1], opts...)
	if err != nil {
		return err
	}
	return s.printWritten(did)
}

// readValues checks that there are as many values as the flags ask for, and
// reads them.
func (c *casCmd) readValues(s *session) ([][]byte, error) {
	switch {
	case c.Delete && c.TTL.given:
		return nil, usagef("--delete and --ttl cannot be combined")
	case (c.Absent || c.Delete) && len(c.Values) != 1:
		return nil, usagef("expected one value, got %d", len(c.Values))
	case !c.Absent && !c.Delete && len(c.Values) != 2:
		return nil, usagef("expected two values, the expected and the new one, got %d", len(c.Values))
	case len(c.Values) == 2 && c.Values[0] == "-" && c.Values[1] == "-":
		return nil, usagef("only one value can come from standard input")
	}
	var values [][]byte
	for _, arg := range c.Values {
		v, err := s.readValue(arg)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
