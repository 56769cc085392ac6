package main

import (
	"fmt"
	"net/http"

	kw "keywatch/client"
)

// deleteCmd deletes a key or a prefix.
type deleteCmd struct {
	Key     string `arg:"" help:"Key, or a prefix that ends in /."`
	IfMatch string `help:"Only if the key still has this etag." placeholder:"ETAG"`
	All     bool   `help:"With / as the key: delete everything."`
	writeFlags
}

// Help is printed by keywatch delete --help.
func (*deleteCmd) Help() string {
	return `
A key that ends in / is a prefix: everything under it is deleted at once, in
one revision. Exits with 3 if there is no such key, 4 if --if-match does not hold.
A prefix with no keys under it is no error.

Examples:

    keywatch delete sensors/1
    keywatch rm sensors/
    keywatch delete config/app --if-match=7f3a9c21-1042
    keywatch delete / --all
`
}

// Run deletes and prints how much.
func (c *deleteCmd) Run(s *session) error {
	opts, err := c.writeFlags.options()
	if err != nil {
		return err
	}
	if prefix, ok := prefixOf(c.Key); ok {
		return c.deletePrefix(s, prefix, opts)
	}
	if err := checkKey(c.Key); err != nil {
		return err
	}
	if c.All {
		return usagef("--all requires / as the key")
	}
	if c.IfMatch != "" {
		cond, err := ifETag(c.IfMatch)
		if err != nil {
			return err
		}
		opts = append(opts, cond)
	}
	existed, err := s.kw.Delete(s.ctx, c.Key, opts...)
	if err != nil {
		return err
	}
	if !existed {
		return s.explainNotFound(c.Key, &kw.Error{
			Status: http.StatusNotFound, Code: "key_not_found", Detail: fmt.Sprintf("no key %q", c.Key), Index: -1,
		})
	}
	return s.printDeleted()
}

func (c *deleteCmd) deletePrefix(s *session, prefix string, opts []kw.WriteOption) error {
	if c.IfMatch != "" {
		return usagef("--if-match requires one key, and %q is a prefix", c.Key)
	}
	if c.All != (prefix == "") {
		return usagef("to delete everything, say: keywatch delete / --all")
	}
	if c.All {
		opts = append(opts, kw.Everything())
	}
	deleted, err := s.kw.DeletePrefix(s.ctx, prefix, opts...)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printValue(map[string]int{"deleted": deleted})
	}
	return s.printf("deleted %d\n", deleted)
}
