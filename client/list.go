package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
)

// etagRev returns the revision that an entity tag names.
func etagRev(tag string) (Rev, bool) {
	bare := strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
	n, err := strconv.ParseUint(bare[strings.LastIndexByte(bare, '-')+1:], 10, 64)
	return Rev(n), err == nil
}

// List ranges over the keys that begin with prefix, in byte order. It fetches
// pages, each of which is of one revision; what changes between pages is seen in
// the later ones only. A failure comes as the last element. It takes Local,
// KeysOnly, PageSize and Limit.
func (c *Client) List(ctx context.Context, prefix string, opts ...ReadOption) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r, cursor, n := newRead(opts), "", 0
		for {
			p, err := c.page(ctx, r, prefix, cursor, n)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range p.Entries {
				n++
				if !yield(e, nil) || n == r.limit {
					return
				}
			}
			if cursor = p.Next; cursor == "" {
				return
			}
		}
	}
}

// listPage is one page of a list.
type listPage struct {
	Entries []Entry `json:"entries"`
	Next    string  `json:"next"`
}

// page fetches the page at cursor, when n entries were fetched before.
func (c *Client) page(ctx context.Context, r *read, prefix, cursor string, n int) (*listPage, error) {
	q := r.query()
	q.Set("prefix", prefix)
	size := r.page
	if r.limit > 0 {
		size = min(size, r.limit-n)
	}
	q.Set("limit", strconv.Itoa(size))
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	if r.keysOnly {
		q.Set("keys", "1")
	}
	resp, err := c.Do(ctx, &Request{Path: "/v1/kv", Query: q, Header: http.Header{"Accept": {"application/json"}}})
	if err != nil {
		return nil, err
	}
	p := new(listPage)
	if err := decode(resp.Body, p); err != nil {
		return nil, err
	}
	if p.Next != "" && len(p.Entries) == 0 {
		return nil, fmt.Errorf("client: %w: a page of the list is empty", ErrNotKeywatch)
	}
	return p, nil
}
