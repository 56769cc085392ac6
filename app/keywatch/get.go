package main

import "net/http"

// getCmd prints one value.
type getCmd struct {
	Key string `arg:"" help:"Key, or a prefix that ends in /."`
}

// Help is printed by keywatch get --help.
func (*getCmd) Help() string {
	return `
The value is written as it is, byte for byte; only on a terminal a newline
follows. A key that ends in / is a prefix, which is listed as "keywatch list"
does. Exits 3 if there is no such key.

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
	r := newRead(keyPath("/v1/kv/", c.Key))
	r.header.Set("Accept", "application/octet-stream")
	if s.json() {
		r.header.Set("Accept", "application/json")
	}
	got, err := s.client.do(s.ctx, r)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(withETag(got.body, got.header))
	}
	if _, err := s.stdout.Write(got.body); err != nil {
		return err
	}
	if isTerminal(s.stdout) {
		return s.printf("\n")
	}
	return nil
}

// withETag adds the entity tag to an object, since --if-match takes it.
func withETag(object []byte, header http.Header) []byte {
	return withField(object, "etag", header.Get("ETag"))
}

// checkKey refuses what would not reach the server as a key. The rest of the
// rules are the server's.
func checkKey(key string) error {
	if key == "" {
		return usagef("the key is empty")
	}
	if _, ok := prefixOf(key); ok {
		return usagef("%q is a prefix; a key is needed here", key)
	}
	return nil
}
