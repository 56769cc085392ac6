package main

import (
	"strings"

	kw "keywatch/client"
)

// cpCmd copies a key, or all keys under a prefix.
type cpCmd struct {
	From     string `arg:"" help:"Key, or a prefix that ends in /."`
	To       string `arg:"" help:"Key, or a prefix that ends in /."`
	IfAbsent bool   `help:"Only if there is no key of the new name yet; for one key."`
}

// Help is printed by keywatch cp --help.
func (*cpCmd) Help() string {
	return `
Copies the value, and the time that it has left to live. Of a prefix every key is
copied, in batches: what is changed meanwhile may be copied or not. Keys that belong
to a lease are left out of a prefix; one that is named is copied without it.

Examples:

    keywatch cp config/app config/app.old
    keywatch cp config/ backup/config/
    keywatch cp template jobs/7 --if-absent
`
}

// Run copies.
func (c *cpCmd) Run(s *session) error {
	from, many := prefixOf(c.From)
	to, manyTo := prefixOf(c.To)
	switch {
	case many != manyTo:
		return usagef("expected two keys or two prefixes")
	case many && c.IfAbsent:
		return usagef("--if-absent is for one key")
	case many:
		return c.copyAll(s, from, to)
	}
	if err := checkKey(c.From); err != nil {
		return err
	}
	if err := checkKey(c.To); err != nil {
		return err
	}
	entry, err := s.kw.Get(s.ctx, c.From)
	if err != nil {
		return s.explainNotFound(c.From, err)
	}
	var opts []kw.WriteOption
	if entry.TTL > 0 {
		opts = append(opts, kw.TTL(entry.TTL))
	}
	if c.IfAbsent {
		opts = append(opts, kw.If(kw.IfAbsent()))
	}
	did, err := s.kw.Put(s.ctx, c.To, entry.Value, opts...)
	if err != nil {
		return err
	}
	return s.printWritten(did)
}

// copyAll copies what begins with from to the same names under to.
func (c *cpCmd) copyAll(s *session, from, to string) error {
	if strings.HasPrefix(to, from) {
		return usagef("%s is within %s: the copy would be copied again", c.To, c.From)
	}
	b := &bulk{s: s}
	for entry, err := range s.kw.List(s.ctx, from) {
		if err == nil {
			err = b.put(to+strings.TrimPrefix(entry.Key, from), &entry)
		}
		if err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	return b.print()
}
