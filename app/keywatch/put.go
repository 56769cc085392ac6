package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// putCmd sets one value.
type putCmd struct {
	Key            string  `arg:"" help:"Key."`
	Value          string  `arg:"" help:"Value; - reads standard input, @FILE reads a file."`
	TTL            string  `name:"ttl" help:"Delete the key after this time, such as 30s; keep leaves the time it has." placeholder:"DURATION"`
	Lease          string  `help:"Delete the key when this lease ends." placeholder:"ID"`
	IfMatch        *string `help:"Only if the key still has this etag." placeholder:"ETAG" xor:"condition"`
	IfAbsent       bool    `help:"Only if the key does not exist." xor:"condition"`
	IdempotencyKey string  `help:"Apply once, however often it is sent with this key within 10 minutes; a random one by default." placeholder:"KEY"`
	fenced
}

// Help is printed by keywatch put --help.
func (*putCmd) Help() string {
	return `
Without --ttl and --lease the key stays until it is deleted, also if it had an
end before. Exits 4 if the condition did not hold. To store a value that begins
with @, or is a single -, send it through standard input.

Examples:

    keywatch put sensors/1 21.5
    keywatch put config/app @app.yaml
    date | keywatch put now -
    keywatch put session/42 alice --ttl=30m
    keywatch put leader me --if-absent
    keywatch put config/app v2 --if-match=7f3a9c21-1042
`
}

// written is the server's answer to a put.
type written struct {
	Rev     uint64 `json:"rev"`
	Version uint64 `json:"version"`
	Created bool   `json:"created"`
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
	r := newWrite(http.MethodPut, keyPath("/v1/kv/", c.Key), value, c.IdempotencyKey)
	c.fenced.set(r)
	setNonEmpty(r, "ttl", c.TTL)
	setNonEmpty(r, "lease", c.Lease)
	if err := setIfMatch(r, c.IfMatch); err != nil {
		return err
	}
	if c.IfAbsent {
		r.header.Set("If-None-Match", "*")
	}
	got, err := s.client.do(s.ctx, r)
	if err != nil {
		return err
	}
	return s.printWritten(got)
}

// printWritten prints the outcome of a write of one key.
func (s *session) printWritten(got *answer) error {
	if s.json() {
		return s.printJSON(withETag(got.body, got.header))
	}
	var w written
	if err := json.Unmarshal(got.body, &w); err != nil {
		return fmt.Errorf("the server's answer is not JSON: %w", err)
	}
	what := "replaced"
	if w.Created {
		what = "created"
	}
	return s.printf("%s version=%d etag=%s\n", what, w.Version, strings.Trim(got.header.Get("ETag"), `"`))
}

func setNonEmpty(r *request, name, value string) {
	if value != "" {
		r.query.Set(name, value)
	}
}

// setIfMatch makes r conditional on an etag, which may come without its
// quotes. An empty one is refused: it is an unset variable in a script, and
// must not mean no condition.
func setIfMatch(r *request, etag *string) error {
	if etag == nil {
		return nil
	}
	bare := strings.Trim(strings.TrimPrefix(strings.TrimSpace(*etag), "W/"), `"`)
	if bare == "" {
		return usagef("--if-match is empty")
	}
	r.header.Set("If-Match", `"`+bare+`"`)
	return nil
}
