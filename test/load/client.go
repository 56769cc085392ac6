package load

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
	"time"

	"keywatch/test/gate"
)

// A Client sends requests over connections of its own.
type Client struct {
	http *http.Client
	base func() string // the server's URL now
	// patience is when a request that has no answer is given up; 0 is never.
	patience time.Duration
}

// NewClient returns a client of the server whose URL is base(), through what wrap
// puts in front of its transport, if anything.
func NewClient(t testing.TB, base func() string, wrap func(http.RoundTripper) http.RoundTripper) *Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	t.Cleanup(transport.CloseIdleConnections)
	var rt http.RoundTripper = transport
	if wrap != nil {
		rt = wrap(rt)
	}
	return &Client{http: &http.Client{Transport: rt}, base: base}
}

// Of returns a client of a target, which gives a request up after patience; 0 is never.
func Of(t testing.TB, to Target, patience time.Duration) *Client {
	cl := NewClient(t, func() string { url, _ := to.Pick(); return url }, nil)
	cl.patience = patience
	return cl
}

// A Call is one request.
type Call struct {
	Method, Path string
	header       map[string]string
	Body         string
}

// An Answer is what the server sent.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Do sends c. An error means that no whole answer came, so that a write may or
// may not have been applied.
func (cl *Client) Do(ctx context.Context, c Call) (*Answer, error) {
	return cl.doAt(ctx, cl.base(), c)
}

// doAt sends c to the server at url.
func (cl *Client) doAt(ctx context.Context, url string, c Call) (*Answer, error) {
	if cl.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cl.patience)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, c.Method, url+c.Path, strings.NewReader(c.Body))
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
	return &Answer{resp.StatusCode, resp.Header, string(body)}, nil
}

// Settle sends a write, which must have an Idempotency-Key, to servers that to picks until an
// answer says what became of it. The only error is that of ctx.
func (cl *Client) Settle(ctx context.Context, to Target, c Call) (*Answer, error) {
	for {
		url, lost := to.Pick()
		a, err := cl.doAt(ctx, url, c)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && a.Status != 503 && a.Status != 504 {
			return a, nil
		}
		lost(ctx)
	}
}

// Must sends c and fails the test unless the status is one of want.
func (cl *Client) Must(t testing.TB, c Call, want ...int) *Answer {
	t.Helper()
	a, err := cl.Do(gate.Context(t), c)
	if err != nil {
		t.Fatalf("%s %s: %v", c.Method, c.Path, err)
	}
	for _, status := range want {
		if a.Status == status {
			return a
		}
	}
	t.Fatalf("%s %s: status %d, want %v: %s", c.Method, c.Path, a.Status, want, a.Body)
	return nil
}

// Put writes a key and fails the test unless it was written.
func (cl *Client) Put(t testing.TB, key, value string) *Answer {
	t.Helper()
	return cl.Must(t, PutCall(key, value), 200, 201)
}

// PutCall returns the request that writes a key.
func PutCall(key, value string) Call { return Call{Method: "PUT", Path: "/v1/kv/" + key, Body: value} }

// GetCall returns the request that reads a key.
func GetCall(key string) Call { return Call{Method: "GET", Path: "/v1/kv/" + key} }

// With returns c with one more header.
func (c Call) With(name, value string) Call {
	header := map[string]string{name: value}
	for k, v := range c.header {
		header[k] = v
	}
	c.header = header
	return c
}

// A Position is a parsed Keywatch-Position. Clients must not look into it; these
// tests do, to see that it never goes back.
type Position struct {
	Epoch string
	Rev   uint64
}

// Position returns where the store was when it answered.
func (a *Answer) Position() (Position, error) {
	return ParsePosition(a.Header.Get("Keywatch-Position"))
}

// ETag returns the tag of the version that was read or written.
func (a *Answer) ETag() string { return a.Header.Get("ETag") }

// Replayed reports whether a was kept from an earlier request.
func (a *Answer) Replayed() bool { return a.Header.Get("Idempotency-Replayed") == "true" }

// Version returns Keywatch-Version of a read.
func (a *Answer) Version() int {
	n, _ := strconv.Atoi(a.Header.Get("Keywatch-Version"))
	return n
}

// ParsePosition reads a position.
func ParsePosition(text string) (p Position, err error) {
	epoch, rev, ok := strings.Cut(text, "-")
	if !ok || len(epoch) != 8 {
		return p, fmt.Errorf("%q is not a position", text)
	}
	p.Epoch = epoch
	p.Rev, err = strconv.ParseUint(rev, 10, 64)
	return p, err
}

// A Problem is an error answer.
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Problem returns the body of an error answer.
func (a *Answer) Problem() (p Problem) {
	_ = json.Unmarshal([]byte(a.Body), &p)
	return p
}

// Decode reads a JSON body.
func (a *Answer) Decode(to any) error {
	if err := json.Unmarshal([]byte(a.Body), to); err != nil {
		return fmt.Errorf("%w in %q", err, a.Body)
	}
	return nil
}

// written is the body of an answered write.
type written struct {
	Rev     uint64 `json:"rev"`
	Version int    `json:"version"`
	Created bool   `json:"created"`
}

// An Entry is one key as JSON shows it.
type Entry struct {
	Key       string `json:"key"`
	Value     string `json:"value"`
	Encoding  string `json:"encoding"`
	Rev       uint64 `json:"rev"`
	CreateRev uint64 `json:"create_rev"`
	Version   int    `json:"version"`
	TTL       int64  `json:"ttl_ms"`
	Lease     string `json:"lease"`
}

// A Page is one answer to a list.
type Page struct {
	Entries  []Entry `json:"entries"`
	Next     string  `json:"next"`
	Position string  `json:"position"`
}

// List returns all keys under prefix at one revision, read as NDJSON.
func (cl *Client) List(t testing.TB, prefix string) (entries map[string]Entry, position string) {
	t.Helper()
	a := cl.Must(t, Call{Method: "GET", Path: "/v1/kv?prefix=" + prefix}.With("Accept", "application/x-ndjson"), 200)
	entries, position, err := ParseList(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return entries, position
}

// ParseList reads a list of NDJSON. It fails unless the list is whole.
func ParseList(body string) (entries map[string]Entry, position string, err error) {
	entries = make(map[string]Entry)
	d := json.NewDecoder(bytes.NewReader([]byte(body)))
	for {
		var line struct {
			Entry
			Position string `json:"position"`
		}
		if err := d.Decode(&line); err == io.EOF && position != "" {
			return entries, position, nil
		} else if err != nil {
			return nil, "", fmt.Errorf("list without its end: %w", err)
		}
		if line.Key != "" {
			entries[line.Key] = line.Entry
		}
		position = line.Position
	}
}

// A Batch is the body of POST /v1/batch.
type Batch struct {
	Checks []map[string]any `json:"checks,omitempty"`
	Ops    []BatchOp        `json:"ops"`
}

// A BatchOp is one operation of a Batch.
type BatchOp struct {
	Op    string  `json:"op"`
	Key   string  `json:"key"`
	Value *string `json:"value,omitempty"`
}

// OpPut, OpGet and OpDelete return operations of a Batch.
func OpPut(key, value string) BatchOp { return BatchOp{"put", key, &value} }
func OpGet(key string) BatchOp        { return BatchOp{"get", key, nil} }
func OpDelete(key string) BatchOp     { return BatchOp{"delete", key, nil} }

// Call returns the request that runs b.
func (b Batch) Call() Call {
	body, err := json.Marshal(b)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return Call{Method: "POST", Path: "/v1/batch", Body: string(body)}
}

// A Batched is the answer to a batch.
type Batched struct {
	Committed bool   `json:"committed"`
	Rev       uint64 `json:"rev"`
	Results   []struct {
		Entry
		// Value is nil where a replayed answer does not know it any more.
		Value   *string `json:"value"`
		Created bool    `json:"created"`
		Deleted bool    `json:"deleted"`
		Found   bool    `json:"found"`
	} `json:"results"`
}
