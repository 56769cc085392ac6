package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"text/tabwriter"
)

// statusCmd prints the server's status.
type statusCmd struct{}

// Help is printed by keywatch status --help.
func (*statusCmd) Help() string {
	return `
One line for each thing the server says of itself, nested names joined by dots.

Examples:

    keywatch status
    keywatch status -o json | jq .position
    keywatch status --server=http://10.0.0.5:7070
`
}

// Run prints what the server answers, in its order.
func (*statusCmd) Run(s *session) error {
	r := newRead("/v1/status")
	r.header.Set("Accept", "application/json")
	got, err := s.client.do(s.ctx, r)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(got.body)
	}
	decoder := json.NewDecoder(bytes.NewReader(got.body))
	decoder.UseNumber()
	table := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	if err := flatten(decoder, table, ""); err != nil {
		return fmt.Errorf("the server's answer is not JSON: %w", err)
	}
	return table.Flush()
}

// flatten prints the next JSON value as lines of name and value. It reads
// tokens, because a map would lose the order.
func flatten(d *json.Decoder, out *tabwriter.Writer, name string) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		if token == nil {
			token = "-"
		}
		_, err := fmt.Fprintf(out, "%s\t%v\n", name, token)
		return err
	}
	for i := 0; d.More(); i++ {
		field := strconv.Itoa(i)
		if delim == '{' {
			token, err := d.Token()
			if err != nil {
				return err
			}
			field, _ = token.(string) // a name in an object always is one
		}
		if name != "" {
			field = name + "." + field
		}
		if err := flatten(d, out, field); err != nil {
			return err
		}
	}
	_, err = d.Token() // the closing bracket
	return err
}
