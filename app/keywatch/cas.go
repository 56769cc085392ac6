package main

import (
	"encoding/json"
	"net/http"
)

// casCmd replaces a value by value.
type casCmd struct {
	Key            string   `arg:"" help:"Key."`
	Values         []string `arg:"" optional:"" help:"The value it must have, then the new one; - reads standard input, @FILE reads a file."`
	Absent         bool     `help:"The key must not exist; give only the new value."`
	Delete         bool     `help:"Delete the key; give only the value it must have."`
	TTL            string   `name:"ttl" help:"Delete the key after this time, such as 30s; keep leaves the time it has." placeholder:"DURATION"`
	IdempotencyKey string   `help:"Apply once, however often it is sent with this key within 10 minutes; a random one by default." placeholder:"KEY"`
	fenced
}

// Help is printed by keywatch cas --help.
func (*casCmd) Help() string {
	return `
cas KEY OLD NEW sets KEY to NEW only if its value is OLD. Exits 4, and changes
nothing, if it is not.

Examples:

    keywatch cas jobs/7 pending running
    keywatch cas jobs/7 --absent pending
    keywatch cas jobs/7 --delete done
    keywatch cas config/app @old.yaml @new.yaml
`
}

// swap is the body of POST /v1/cas; nil is absent.
type swap struct {
	Expected *string `json:"expected"`
	New      *string `json:"new"`
	Encoding string  `json:"encoding,omitempty"`
	TTL      string  `json:"ttl,omitempty"`
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
	body, err := c.body(values)
	if err != nil {
		return err
	}
	r := newWrite(http.MethodPost, keyPath("/v1/cas/", c.Key), body, c.IdempotencyKey)
	c.fenced.set(r)
	r.header.Set("Content-Type", "application/json")
	got, err := s.client.do(s.ctx, r)
	if err != nil {
		return err
	}
	if !c.Delete {
		return s.printWritten(got)
	}
	if s.json() {
		return s.printValue(map[string]int{"deleted": 1})
	}
	return s.printf("deleted\n")
}

// readValues checks that there are as many values as the flags ask for, and
// reads them.
func (c *casCmd) readValues(s *session) ([][]byte, error) {
	switch {
	case c.Absent && c.Delete:
		return nil, usagef("--absent and --delete do not go together")
	case c.Delete && c.TTL != "":
		return nil, usagef("--delete and --ttl do not go together")
	case (c.Absent || c.Delete) && len(c.Values) != 1:
		return nil, usagef("one value is needed, not %d", len(c.Values))
	case !c.Absent && !c.Delete && len(c.Values) != 2:
		return nil, usagef("two values are needed, the old and the new, not %d", len(c.Values))
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

func (c *casCmd) body(values [][]byte) ([]byte, error) {
	texts, encoding := textOrBase64(values...)
	b := swap{Encoding: encoding, TTL: c.TTL}
	switch {
	case c.Absent:
		b.New = &texts[0]
	case c.Delete:
		b.Expected = &texts[0]
	default:
		b.Expected, b.New = &texts[0], &texts[1]
	}
	return json.Marshal(b)
}
