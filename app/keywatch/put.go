package main

import (
	kw "keywatch/client"
)

// putCmd sets one value.
type putCmd struct {
	Key      string `arg:"" help:"Key."`
	Value    string `arg:"" help:"Value; - reads standard input, @FILE reads a file."`
	TTL      ttl    `name:"ttl" help:"Delete the key after this time, such as 30s; keep leaves the time that it has." placeholder:"DURATION"`
	Lease    string `help:"Delete the key when this lease ends." placeholder:"ID"`
	IfMatch  string `help:"Only if the key still has this etag." placeholder:"ETAG" xor:"condition"`
	IfAbsent bool   `help:"Only if the key does not exist." xor:"condition"`
	writeFlags
}

// Help is printed by keywatch put --help.
func (*putCmd) Help() string {
	return `
Without --ttl and --lease the key stays until it is deleted, even if it had a TTL or
a lease before. Exits with 4 if the condition does not hold. A number may be negative;
any other value that begins with - goes after --. A value that begins with @, or is a
single -, goes through standard input.

Examples:

    keywatch put sensors/1 21.5
    keywatch put sensors/2 -5
    keywatch put note -- --draft--
    keywatch put config/app @app.yaml
    date | keywatch put now -
    keywatch put session/42 alice --ttl=30m
    keywatch put leader me --if-absent
    keywatch put config/app v2 --if-match=7f3a9c21-1042
`
}

// Run sets the value and prints its etag and version.
func (c *putCmd) Run(s *session) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	value, err := s.readValue(c.Value)
	if err != nil {
		return err
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	did, err := s.kw.Put(s.ctx, c.Key, value, opts...)
	if err != nil {
		return err
	}
	return s.printWritten(did)
}

func (c *putCmd) options() ([]kw.WriteOption, error) {
	opts, err := c.writeFlags.options()
	if c.TTL.given {
		opts = append(opts, c.TTL.option())
	}
	if c.Lease != "" {
		opts = append(opts, kw.OnLease(kw.LeaseID(c.Lease)))
	}
	if c.IfAbsent {
		opts = append(opts, kw.If(kw.IfAbsent()))
	}
	if c.IfMatch != "" && err == nil {
		var cond kw.WriteOption
		cond, err = ifETag(c.IfMatch)
		opts = append(opts, cond)
	}
	return opts, err
}
