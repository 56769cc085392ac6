package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"

	kw "keywatch/client"
)

// pageLimit is how many keys are asked for at once.
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
Lists all keys in byte order. Values are cut to fit a line; -o json prints every
entry whole, one JSON object a line. A long list is fetched in pages, each of which
shows one revision. A message says so when --limit left keys out.

Examples:

    keywatch list
    keywatch ls sensors/
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
		switch {
		case cursor == "":
			return nil
		case c.Limit > 0 && printed >= c.Limit:
			s.message("%d keys; there are more, which --limit left out", printed)
			return nil
		}
	}
}

// fetch gets the page at cursor; left is how many more are asked for if there is
// a limit.
func (c *listCmd) fetch(s *session, prefix, cursor string, left int) (*page, error) {
	q := url.Values{"prefix": {prefix}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	if c.Keys {
		q.Set("keys", "1")
	}
	if c.Limit > 0 {
		q.Set("limit", strconv.Itoa(min(left, pageLimit)))
	}
	got, err := s.kw.Do(s.ctx, &kw.Request{Path: "/v1/kv", Query: q, Header: http.Header{"Accept": {"application/json"}}})
	if err != nil {
		return nil, err
	}
	p := new(page)
	if err := decode(got.Body, p); err != nil {
		return nil, err
	}
	if p.Next != "" && len(p.Entries) == 0 {
		return nil, fmt.Errorf("%w: a page of the list is empty", kw.ErrNotKeywatch)
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
		var e kw.Entry
		if err := decode(raw, &e); err != nil {
			return err
		}
		if c.Keys {
			fmt.Fprintln(table, e.Key)
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%d\t%s\n", e.Key, e.Rev, e.Version, ttlText(e.TTL), len(e.Value), preview(e.Value))
	}
	return table.Flush()
}
