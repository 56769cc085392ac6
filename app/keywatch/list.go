package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"text/tabwriter"
)

// pageLimit is the most keys asked for at once.
const pageLimit = 100

// listCmd lists a prefix.
type listCmd struct {
	Prefix string `arg:"" optional:"" help:"What the keys begin with; everything by default."`
	Keys   bool   `help:"Keys only, one a line."`
	Limit  int    `help:"Stop after this many; 0 is no limit." default:"0" placeholder:"N"`
}

// Help is printed by keywatch list --help.
func (*listCmd) Help() string {
	return `
Keys come in byte order. Values are cut to fit a line; -o json prints every
entry whole, one JSON object a line. A long list is fetched in pages, each of
which is consistent in itself.

Examples:

    keywatch list
    keywatch list sensors/
    keywatch list --keys sensors/ | wc -l
    keywatch list -o json --limit=10 sensors/
`
}

// page is one page of a list.
type page struct {
	Entries []json.RawMessage `json:"entries"`
	Next    string            `json:"next"`
}

// Run prints all pages.
func (c *listCmd) Run(s *session) error {
	if c.Limit < 0 {
		return usagef("--limit must not be negative")
	}
	prefix := c.Prefix
	if prefix == "/" {
		prefix = ""
	}
	printed, cursor := 0, ""
	for {
		p, err := c.fetch(s, prefix, cursor, c.Limit-printed)
		if err != nil {
			return err
		}
		if err := c.print(s, p.Entries, printed == 0); err != nil {
			return err
		}
		printed, cursor = printed+len(p.Entries), p.Next
		if cursor == "" || c.Limit > 0 && printed >= c.Limit {
			return nil
		}
	}
}

// fetch gets the page at cursor; left is how many more are wanted if there is
// a limit.
func (c *listCmd) fetch(s *session, prefix, cursor string, left int) (*page, error) {
	r := newRead("/v1/kv")
	r.header.Set("Accept", "application/json")
	r.query.Set("prefix", prefix)
	setNonEmpty(r, "cursor", cursor)
	if c.Keys {
		r.query.Set("keys", "1")
	}
	if c.Limit > 0 {
		r.query.Set("limit", strconv.Itoa(min(left, pageLimit)))
	}
	got, err := s.client.do(s.ctx, r)
	if err != nil {
		return nil, err
	}
	p := new(page)
	if err := json.Unmarshal(got.body, p); err != nil {
		return nil, fmt.Errorf("the server's answer is not JSON: %w", err)
	}
	if p.Next != "" && len(p.Entries) == 0 {
		return nil, fmt.Errorf("the server's list does not move on")
	}
	if c.Limit > 0 {
		p.Entries = p.Entries[:min(left, len(p.Entries))]
	}
	return p, nil
}

// print prints one page.
func (c *listCmd) print(s *session, entries []json.RawMessage, first bool) error {
	if s.json() {
		for _, raw := range entries {
			if err := s.printJSON(raw); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	if first && !c.Keys && len(entries) > 0 {
		fmt.Fprintln(table, "KEY\tREV\tVERSION\tTTL\tSIZE\tVALUE")
	}
	for _, raw := range entries {
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return fmt.Errorf("the server's answer is not an entry: %w", err)
		}
		value, err := e.value()
		if err != nil {
			return fmt.Errorf("value of %q: %w", e.Key, err)
		}
		if c.Keys {
			fmt.Fprintln(table, e.Key)
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%d\t%s\n", e.Key, e.Rev, e.Version, ttlText(e.TTL), len(value), preview(value))
	}
	return table.Flush()
}
