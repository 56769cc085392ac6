package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"keywatch/test/gate"
)

// A client sends requests to one server over connections of its own.
type client struct {
	http *http.Client
	base func() string // the server's URL now
}

// newClient returns a client of s.
func newClient(t testing.TB, s *server) *client {
	return clientOf(t, func() string { return s.url }, nil)
}

// clientOf returns a client of the server whose URL is base(), through what wrap
// puts in front of its transport, if anything.
func clientOf(t testing.TB, base func() string, wrap func(http.RoundTripper) http.RoundTripper) *client {
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	t.Cleanup(transport.CloseIdleConnections)
	var rt http.RoundTripper = transport
	if wrap != nil {
		rt = wrap(rt)
	}
	return &client{http: &http.Client{Transport: rt}, base: base}
}

// A call is one request.
type call struct {
	method, path string
	header       map[string]string
	body         string
}

// An answer is what the server sent.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends c. An error means that no whole answer came, so that a write may or
// may not have been applied.
func (cl *client) do(ctx context.Context, c call) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, cl.base()+c.path, strings.NewReader(c.body))
	if err != nil {
		return nil, err
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	resp, err := cl.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return &answer{resp.StatusCode, resp.Header, string(body)}, nil
}

// must sends c and fails the test unless the status is one of want.
func (cl *client) must(t testing.TB, c call, want ...int) *answer {
	t.Helper()
	a, err := cl.do(gate.Context(t), c)
	if err != nil {
		t.Fatalf("%s %s: %v", c.method, c.path, err)
	}
	for _, status := range want {
		if a.status == status {
			return a
		}
	}
	t.Fatalf("%s %s: status %d, want %v: %s", c.method, c.path, a.status, want, a.body)
	return nil
}

func (cl *client) put(t testing.TB, key, value string) *answer {
	t.Helper()
	return cl.must(t, putCall(key, value), 200, 201)
}

func putCall(key, value string) call { return call{method: "PUT", path: "/v1/kv/" + key, body: value} }
func getCall(key string) call        { return call{method: "GET", path: "/v1/kv/" + key} }

// with returns c with one more header.
func (c call) with(name, value string) call {
	header := map[string]string{name: value}
	for k, v := range c.header {
		header[k] = v
	}
	c.header = header
	return c
}

// A position is a parsed Keywatch-Position. Clients must not look into it; these
// tests do, to see that it never goes back.
type position struct {
	epoch string
	rev   uint64
}

func (a *answer) position() (position, error) {
	return parsePosition(a.header.Get("Keywatch-Position"))
}

func (a *answer) etag() string { return a.header.Get("ETag") }

// replayed reports whether a was kept from an earlier request.
func (a *answer) replayed() bool { return a.header.Get("Idempotency-Replayed") == "true" }

// version returns Keywatch-Version of a read.
func (a *answer) version() int {
	n, _ := strconv.Atoi(a.header.Get("Keywatch-Version"))
	return n
}

func parsePosition(text string) (p position, err error) {
	epoch, rev, ok := strings.Cut(text, "-")
	if !ok || len(epoch) != 8 {
		return p, fmt.Errorf("%q is not a position", text)
	}
	p.epoch = epoch
	p.rev, err = strconv.ParseUint(rev, 10, 64)
	return p, err
}

// A problem is an error answer.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (a *answer) problem() (p problem) {
	_ = json.Unmarshal([]byte(a.body), &p)
	return p
}

// decode reads a JSON body.
func (a *answer) decode(to any) error {
	if err := json.Unmarshal([]byte(a.body), to); err != nil {
		return fmt.Errorf("%w in %q", err, a.body)
	}
	return nil
}

// written is the body of an answered write.
type written struct {
	Rev     uint64 `json:"rev"`
	Version int    `json:"version"`
	Created bool   `json:"created"`
}

// An entry is one key as JSON shows it.
type entry struct {
	Key       string `json:"key"`
	Value     string `json:"value"`
	Encoding  string `json:"encoding"`
	Rev       uint64 `json:"rev"`
	CreateRev uint64 `json:"create_rev"`
	Version   int    `json:"version"`
	TTL       int64  `json:"ttl_ms"`
	Lease     string `json:"lease"`
}

// A page is one answer to a list.
type page struct {
	Entries  []entry `json:"entries"`
	Next     string  `json:"next"`
	Position string  `json:"position"`
}

// list returns all keys under prefix at one revision, read as NDJSON.
func (cl *client) list(t testing.TB, prefix string) (entries map[string]entry, position string) {
	t.Helper()
	a := cl.must(t, call{method: "GET", path: "/v1/kv?prefix=" + prefix}.with("Accept", "application/x-ndjson"), 200)
	entries, position, err := parseList(a.body)
	if err != nil {
		t.Fatal(err)
	}
	return entries, position
}

func parseList(body string) (entries map[string]entry, position string, err error) {
	entries = make(map[string]entry)
	d := json.NewDecoder(bytes.NewReader([]byte(body)))
	for {
		var line struct {
			entry
			Position string `json:"position"`
		}
		if err := d.Decode(&line); err == io.EOF && position != "" {
			return entries, position, nil
		} else if err != nil {
			return nil, "", fmt.Errorf("list without its end: %w", err)
		}
		if line.Key != "" {
			entries[line.Key] = line.entry
		}
		position = line.Position
	}
}

// batch is the body of POST /v1/batch.
type batch struct {
	Checks []map[string]any `json:"checks,omitempty"`
	Ops    []batchOp        `json:"ops"`
}

type batchOp struct {
	Op    string  `json:"op"`
	Key   string  `json:"key"`
	Value *string `json:"value,omitempty"`
}

func opPut(key, value string) batchOp { return batchOp{"put", key, &value} }
func opGet(key string) batchOp        { return batchOp{"get", key, nil} }
func opDelete(key string) batchOp     { return batchOp{"delete", key, nil} }

func (b batch) call() call {
	body, err := json.Marshal(b)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return call{method: "POST", path: "/v1/batch", body: string(body)}
}

// batched is the answer to a batch.
type batched struct {
	Committed bool   `json:"committed"`
	Rev       uint64 `json:"rev"`
	Results   []struct {
		entry
		// Value is nil where a replayed answer does not know it any more.
		Value   *string `json:"value"`
		Created bool    `json:"created"`
		Deleted bool    `json:"deleted"`
		Found   bool    `json:"found"`
	} `json:"results"`
}
