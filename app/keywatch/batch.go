package main

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// batchCmd sends a batch.
type batchCmd struct {
	File           string `arg:"" optional:"" default:"-" help:"JSON document; - reads standard input."`
	IdempotencyKey string `help:"Apply once, however often it is sent with this key within 10 minutes; a random one by default." placeholder:"KEY"`
	fenced
}

// Help is printed by keywatch batch --help.
func (*batchCmd) Help() string {
	return `
The document holds checks and operations, which run as one: all or nothing, in
one revision. Exits 4 if a check failed and the document has no "else"; with
"else", those operations run instead and it exits 0.

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
	Committed bool   `json:"committed"`
	Failed    *int   `json:"failed"`
	Rev       uint64 `json:"rev"`
	Results   []struct {
		entry
		Created *bool           `json:"created"`
		Deleted json.RawMessage `json:"deleted"`
		Found   *bool           `json:"found"`
	} `json:"results"`
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
	r := newWrite(http.MethodPost, "/v1/batch", document, c.IdempotencyKey)
	c.fenced.set(r)
	r.header.Set("Content-Type", "application/json")
	got, err := s.client.do(s.ctx, r)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(got.body)
	}
	var b batchAnswer
	if err := json.Unmarshal(got.body, &b); err != nil {
		return fmt.Errorf("the server's answer is not JSON: %w", err)
	}
	return b.print(s)
}

func (b *batchAnswer) print(s *session) error {
	head := "committed"
	if !b.Committed {
		head = "else"
		if b.Failed != nil {
			head = fmt.Sprintf("check %d failed, ran else", *b.Failed)
		}
	}
	if b.Rev > 0 {
		head += fmt.Sprintf(" rev=%d", b.Rev)
	}
	if err := s.printf("%s\n", head); err != nil {
		return err
	}
	for i := range b.Results {
		if err := s.printf("%d: %s\n", i, b.line(i)); err != nil {
			return err
		}
	}
	return nil
}

// line describes the i-th result.
func (b *batchAnswer) line(i int) string {
	r := &b.Results[i]
	switch {
	case r.Found != nil && !*r.Found:
		return "not found"
	case r.Found != nil:
		value, err := r.value()
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%s version=%d %s", r.Key, r.Version, preview(value))
	case len(r.Deleted) > 0:
		if deleted := string(r.Deleted); deleted == "false" || deleted == "0" {
			return "nothing to delete"
		}
		return "deleted"
	case r.Created != nil && *r.Created:
		return fmt.Sprintf("created version=%d", r.Version)
	}
	return fmt.Sprintf("replaced version=%d", r.Version)
}
