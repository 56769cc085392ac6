package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	kw "keywatch/client"
)

// batchCmd sends a batch.
type batchCmd struct {
	File string `arg:"" optional:"" default:"-" help:"JSON document; - reads standard input."`
	once
	fenced
}

// Help is printed by keywatch batch --help.
func (*batchCmd) Help() string {
	return `
The document holds checks and operations, which run as one: all or nothing, in
one revision. Exits with 4 if a check does not hold and the document has no "else".
With "else" those operations run instead, and it exits with 0.

Examples:

    keywatch batch move.json
    keywatch batch <<'END'
    {"checks": [{"key": "jobs/7", "value": "pending"}],
     "ops": [{"op": "put", "key": "jobs/7", "value": "running"},
             {"op": "delete", "key": "queue/7"}]}
    END
`
}

// batchAnswer is the server's answer to a batch.
type batchAnswer struct {
	Committed bool              `json:"committed"`
	Failed    *int              `json:"failed"`
	Rev       uint64            `json:"rev"`
	Results   []json.RawMessage `json:"results"`
}

// Run sends the batch and prints one line for each result.
func (c *batchCmd) Run(s *session) error {
	arg := c.File
	if arg != "-" {
		arg = "@" + arg
	}
	document, err := s.readValue(arg)
	if err != nil {
		return err
	}
	r := &kw.Request{
		Method: http.MethodPost, Path: "/v1/batch", Body: document,
		Header: http.Header{"Content-Type": {"application/json"}}, IdempotencyKey: c.IdempotencyKey,
	}
	if c.Fence != "" {
		r.Header.Set("If-Fence", c.Fence)
	}
	got, err := s.kw.Do(s.ctx, r)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(got.Body)
	}
	var b batchAnswer
	if err := decode(got.Body, &b); err != nil {
		return err
	}
	return b.print(s)
}

func (b *batchAnswer) print(s *session) error {
	head := "committed"
	if !b.Committed {
		head = "else"
		if b.Failed != nil {
			head = fmt.Sprintf("check %d does not hold, ran else", *b.Failed)
		}
	}
	if b.Rev > 0 {
		head += fmt.Sprintf(" rev=%d", b.Rev)
	}
	if err := s.printf("%s\n", head); err != nil {
		return err
	}
	for i, raw := range b.Results {
		line, err := resultLine(raw)
		if err != nil {
			return err
		}
		if err := s.printf("%d: %s\n", i, line); err != nil {
			return err
		}
	}
	return nil
}

// resultLine describes the result of one operation.
func resultLine(raw json.RawMessage) (string, error) {
	var r struct {
		Created, Found *bool
		Deleted        json.RawMessage
	}
	var e kw.Entry
	if err := decode(raw, &r); err != nil {
		return "", err
	}
	if err := decode(raw, &e); err != nil {
		return "", err
	}
	switch {
	case r.Found != nil && !*r.Found:
		return "not found", nil
	case r.Found != nil:
		return fmt.Sprintf("%s version=%d %s", e.Key, e.Version, preview(e.Value)), nil
	case len(r.Deleted) > 0:
		if deleted := string(r.Deleted); deleted == "false" || deleted == "0" {
			return "nothing to delete", nil
		}
		return "deleted", nil
	case r.Created != nil && *r.Created:
		return fmt.Sprintf("created version=%d", e.Version), nil
	}
	return fmt.Sprintf("replaced version=%d", e.Version), nil
}
