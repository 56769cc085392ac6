package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// errNotUTF8 is a key that JSON would change on its way.
var errNotUTF8 = errors.New("client: a key is not UTF-8")

// A Batch is applied whole or not at all, in one revision: Ops if all Checks
// hold, else Else. Operations run in order, and a get sees those before it.
type Batch struct {
	Checks []Check
	Ops    []Op
	// Else runs if a check failed. Without it that is an error.
	Else []Op
}

// A Check is what must hold for a batch to be applied.
type Check struct {
	key, field string
	n          uint64
	truth      bool
	value      []byte
}

// CheckRev holds if the key's last change has this revision; 0 is absent.
func CheckRev(key string, rev Rev) Check { return Check{key: key, field: "rev", n: uint64(rev)} }

// CheckCreateRev holds if the key was created in this revision.
func CheckCreateRev(key string, rev Rev) Check {
	return Check{key: key, field: "create_rev", n: uint64(rev)}
}

// CheckVersion holds if the key has this version.
func CheckVersion(key string, version uint64) Check {
	return Check{key: key, field: "version", n: version}
}

// CheckExists holds if there is such a key.
func CheckExists(key string) Check { return Check{key: key, field: "exists", truth: true} }

// CheckAbsent holds if there is no such key.
func CheckAbsent(key string) Check { return Check{key: key, field: "exists"} }

// CheckValue holds if the key has this value.
func CheckValue(key string, value []byte) Check {
	return Check{key: key, field: "value", value: value}
}

// CheckNotValue holds if the key has another value than this one, or does not exist.
func CheckNotValue(key string, value []byte) Check {
	return Check{key: key, field: "not_value", value: value}
}

// CheckLock holds if the lock is held under this token.
func CheckLock(lock string, token Token) Check {
	return Check{key: lock, field: "token", n: uint64(token)}
}

// MarshalJSON writes c as a batch carries it.
func (c Check) MarshalJSON() ([]byte, error) {
	if !utf8.ValidString(c.key) {
		return nil, errNotUTF8
	}
	doc := map[string]any{"key": c.key}
	switch c.field {
	case "token":
		doc = map[string]any{"lock": c.key, "token": c.n}
	case "exists":
		doc["exists"] = c.truth
	case "value", "not_value":
		texts, encoding := encodeValues(c.value)
		doc[c.field] = texts[0]
		if encoding != "" {
			doc["encoding"] = encoding
		}
	case "":
		return nil, errors.New("client: an empty check")
	default:
		doc[c.field] = c.n
	}
	return json.Marshal(doc)
}

// An Op is one operation of a batch.
type Op struct {
	kind, key string
	value     []byte
	ttl       string
	lease     LeaseID
	by        int64
}

// OpPut sets key to value. It takes TTL, KeepTTL and OnLease; conditions are
// Checks.
func OpPut(key string, value []byte, opts ...WriteOption) Op {
	w := newWrite(opts)
	return Op{kind: "put", key: key, value: value, ttl: w.ttl, lease: w.lease}
}

// OpDelete deletes key.
func OpDelete(key string) Op { return Op{kind: "delete", key: key} }

// OpGet reads key.
func OpGet(key string) Op { return Op{kind: "get", key: key} }

// OpAdd adds by to the whole number that is the key's value, 0 if there is no such key.
// If the value is no number the batch fails with an *Error of code not_a_number.
func OpAdd(key string, by int64) Op { return Op{kind: "add", key: key, by: by} }

// OpTouch gives key another time to live and leaves its value; 0 takes the time to live
// from it. It does nothing if there is no such key.
func OpTouch(key string, ttl time.Duration) Op {
	return Op{kind: "touch", key: key, ttl: touchText(ttl)}
}

// MarshalJSON writes o as a batch carries it.
func (o Op) MarshalJSON() ([]byte, error) {
	doc := struct {
		Op       string  `json:"op"`
		Key      string  `json:"key"`
		Value    *string `json:"value,omitempty"`
		Encoding string  `json:"encoding,omitempty"`
		TTL      string  `json:"ttl,omitempty"`
		Lease    LeaseID `json:"lease,omitempty"`
		By       *int64  `json:"by,omitempty"`
	}{Op: o.kind, Key: o.key, TTL: o.ttl, Lease: o.lease}
	if o.kind == "add" {
		doc.By = &o.by
	}
	switch {
	case o.kind == "":
		return nil, errors.New("client: an empty operation")
	case !utf8.ValidString(o.key):
		return nil, errNotUTF8
	}
	if o.kind == "put" {
		texts, encoding := encodeValues(o.value)
		doc.Value, doc.Encoding = &texts[0], encoding
	}
	return json.Marshal(doc)
}

// BatchResult is what a batch did.
type BatchResult struct {
	// Committed is set if all checks held and Ops ran. If not, Failed is the
	// index of the first check that did not hold, and Else ran.
	Committed bool
	Failed    int
	// Rev is the revision that the batch took, 0 if it changed nothing.
	Rev Rev
	// Results has one for each operation that ran, in order.
	Results []OpResult
}

// An OpResult is what one operation did.
type OpResult struct {
	// Written is set for a put, an add, and a touch that found its key.
	Written Written
	// Sum is what an add came to.
	Sum int64
	// Deleted is set if a delete found its key.
	Deleted bool
	// Entry is what a get found, nil if nothing.
	Entry *Entry
}

// Batch runs b. It takes IfFence and IdempotencyKey. It fails with an *Error
// that matches ErrConflict, with Index and Current set, if a check failed and
// there is no Else.
func (c *Client) Batch(ctx context.Context, b Batch, opts ...WriteOption) (BatchResult, error) {
	return c.batch(ctx, &b, newWrite(opts))
}

func (c *Client) batch(ctx context.Context, b *Batch, w *write) (BatchResult, error) {
	doc := struct {
		Checks []Check `json:"checks,omitempty"`
		Ops    []Op    `json:"ops"`
		Else   []Op    `json:"else,omitempty"`
	}{b.Checks, append([]Op{}, b.Ops...), b.Else}
	body, err := json.Marshal(doc)
	if err != nil {
		return BatchResult{}, fmt.Errorf("client: %w", err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	resp, err := c.Do(ctx, w.apply(&Request{Method: http.MethodPost, Path: "/v1/batch", Header: header, Body: body}))
	if err != nil {
		return BatchResult{}, err
	}
	result, err := parseBatch(resp.Body)
	if err != nil {
		return BatchResult{}, err
	}
	want := len(b.Ops)
	if !result.Committed {
		want = len(b.Else)
	}
	if len(result.Results) != want {
		return BatchResult{}, fmt.Errorf("client: the batch has %d results, want %d", len(result.Results), want)
	}
	return result, nil
}

// wireResult is the result of any operation.
type wireResult struct {
	wireEntry
	Created bool `json:"created"`
	Deleted bool `json:"deleted"`
	Found   bool `json:"found"`
}

func parseBatch(body []byte) (BatchResult, error) {
	var doc struct {
		Committed bool         `json:"committed"`
		Failed    int          `json:"failed"`
		Rev       Rev          `json:"rev"`
		Results   []wireResult `json:"results"`
	}
	if err := decode(body, &doc); err != nil {
		return BatchResult{}, err
	}
	result := BatchResult{Committed: doc.Committed, Failed: doc.Failed, Rev: doc.Rev}
	for i := range doc.Results {
		r, err := doc.Results[i].result()
		if err != nil {
			return BatchResult{}, err
		}
		result.Results = append(result.Results, r)
	}
	return result, nil
}

func (r *wireResult) result() (OpResult, error) {
	did := OpResult{Deleted: r.Deleted}
	switch {
	case r.Found:
		e, err := r.entry()
		if err != nil {
			return did, err
		}
		did.Entry = &e
	case !r.Deleted && r.Version > 0:
		did.Written = Written{Rev: r.Rev, Version: r.Version, Created: r.Created}
		if r.Value != nil {
			var err error
			if did.Sum, err = strconv.ParseInt(*r.Value, 10, 64); err != nil {
				return did, fmt.Errorf("client: cannot read the sum: %w: %w", ErrNotKeywatch, err)
			}
		}
	}
	return did, nil
}
