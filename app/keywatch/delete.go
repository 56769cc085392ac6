package main

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// deleteCmd deletes a key or a prefix.
type deleteCmd struct {
	Key            string  `arg:"" help:"Key, or a prefix that ends in /."`
	IfMatch        *string `help:"Only if the key still has this etag." placeholder:"ETAG"`
	All            bool    `help:"With / as the key: delete everything."`
	IdempotencyKey string  `help:"Apply once, however often it is sent with this key within 10 minutes; a random one by default." placeholder:"KEY"`
	fenced
}

// Help is printed by keywatch delete --help.
func (*deleteCmd) Help() string {
	return `
A key that ends in / is a prefix: everything under it is deleted at once, in
one revision. Exits 3 if there is no such key, 4 if --if-match did not hold;
deleting a prefix with nothing under it is no error.

Examples:

    keywatch delete sensors/1
    keywatch del sensors/
    keywatch delete config/app --if-match=7f3a9c21-1042
    keywatch delete / --all
`
}

// Run deletes and prints how much.
func (c *deleteCmd) Run(s *session) error {
	if prefix, ok := prefixOf(c.Key); ok {
		return c.deletePrefix(s, prefix)
	}
	if err := checkKey(c.Key); err != nil {
		return err
	}
	if c.All {
		return usagef("--all goes with / only")
	}
	r := newWrite(http.MethodDelete, keyPath("/v1/kv/", c.Key), nil, c.IdempotencyKey)
	c.fenced.set(r)
	if err := setIfMatch(r, c.IfMatch); err != nil {
		return err
	}
	if _, err := s.client.do(s.ctx, r); err != nil {
		return err
	}
	if s.json() {
		return s.printValue(map[string]int{"deleted": 1})
	}
	return s.printf("deleted\n")
}

func (c *deleteCmd) deletePrefix(s *session, prefix string) error {
	if c.IfMatch != nil {
		return usagef("--if-match is for one key, and %q is a prefix", c.Key)
	}
	if c.All != (prefix == "") {
		return usagef("to delete everything, say: keywatch delete / --all")
	}
	r := newWrite(http.MethodDelete, "/v1/kv", nil, c.IdempotencyKey)
	c.fenced.set(r)
	r.query.Set("prefix", prefix)
	if c.All {
		r.query.Set("all", "1")
	}
	got, err := s.client.do(s.ctx, r)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(got.body)
	}
	var answer struct {
		Deleted int `json:"deleted"`
	}
	if err := json.Unmarshal(got.body, &answer); err != nil {
		return fmt.Errorf("the server's answer is not JSON: %w", err)
	}
	return s.printf("deleted %d\n", answer.Deleted)
}
