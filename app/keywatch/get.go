package main

import (
	"net/http"

	kw "keywatch/client"
)

// getCmd prints one value.
type getCmd struct {
	Key string `arg:"" help:"Key, or a prefix that ends in /."`
}

// Help is printed by keywatch get --help.
func (*getCmd) Help() string {
	return `
Prints the value byte for byte; on a terminal a newline follows. A key that ends
in / is a prefix, which is listed as by keywatch list. Exits with 3 if there is no
such key.

Examples:

    keywatch get config/app
    keywatch get config/app > app.yaml
    keywatch get -o json config/app
    keywatch get config/
`
}

// Run prints the value, or the entry with its etag as JSON.
func (c *getCmd) Run(s *session) error {
	if prefix, ok := prefixOf(c.Key); ok {
		return (&listCmd{Prefix: prefix}).Run(s)
	}
	if err := checkKey(c.Key); err != nil {
		return err
	}
	r := &kw.Request{Path: kw.KeyPath("/v1/kv/", c.Key), Header: http.Header{"Accept": {"application/octet-stream"}}}
	if s.json() {
		r.Header = http.Header{"Accept": {"application/json"}}
	}
	got, err := s.kw.Do(s.ctx, r)
	if err != nil {
		return s.explainNotFound(c.Key, err)
	}
	if s.json() {
		// With the etag, which --if-match takes.
		return s.printJSON(withField(got.Body, "etag", got.Header.Get("ETag")))
	}
	if _, err := s.stdout.Write(got.Body); err != nil {
		return err
	}
	if isTerminal(s.stdout.file) {
		return s.printf("\n")
	}
	return nil
}

// checkKey refuses what would not reach the server as a key. The rest of the
// rules are the server's.
func checkKey(key string) error {
	if key == "" {
		return usagef("the key is empty")
	}
	if _, ok := prefixOf(key); ok {
		return usagef("expected a key, got the prefix %q", key)
	}
	return nil
}
