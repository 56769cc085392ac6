package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/test/load"
)

// TestSuite: the server does over HTTP what the conformance suite wants of every
// store.
func TestSuite(t *testing.T) {
	t.Parallel()
	kvtest.Suite(t, func(t *testing.T) kvtest.Store {
		return httpStore{newClient(t, serve(t, "--memory-only"))}
	})
}

// An httpStore is a server as the suite sees it: it sends every command as a
// batch or as a prefix deletion.
type httpStore struct{ cl *load.Client }

func (h httpStore) Do(ctx context.Context, c *kv.Command) (kvtest.Answer, error) {
	req := commandCall(c)
	if c.Idem.Key != "" {
		req = req.With("Idempotency-Key", c.Idem.Key)
	}
	for _, f := range c.Fences {
		req = req.With("If-Fence", fmt.Sprintf("%s=%d", f.Lock, f.Token))
	}
	a, err := h.cl.Do(ctx, req)
	if err != nil {
		return kvtest.Answer{}, err
	}
	if a.Status != 200 {
		return h.refusal(a)
	}
	var body commandAnswer
	if err := a.Decode(&body); err != nil {
		return kvtest.Answer{}, err
	}
	return h.answer(ctx, c, body, a.Replayed())
}

func commandCall(c *kv.Command) load.Call {
	if c.Prefix != nil {
		return load.Call{Method: "DELETE", Path: "/v1/kv?prefix=" + url.QueryEscape(*c.Prefix)}
	}
	body := map[string]any{"ops": opsJSON(c.Ops)}
	if c.HasElse {
		body["else"] = opsJSON(c.Else)
	}
	if len(c.Checks) > 0 {
		body["checks"] = checksJSON(c.Checks)
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return load.Call{Method: "POST", Path: "/v1/batch", Body: string(text)}
}

func opsJSON(ops []kv.Op) []map[string]any {
	list := []map[string]any{}
	for _, op := range ops {
		o := map[string]any{"op": [...]string{kv.OpPut: "put", kv.OpDelete: "delete", kv.OpGet: "get", kv.OpAdd: "add", kv.OpTouch: "touch"}[op.Kind], "key": op.Key}
		if op.Kind == kv.OpPut {
			o["value"], o["encoding"] = base64.StdEncoding.EncodeToString(op.Value), "base64"
		}
		if op.Kind == kv.OpAdd {
			o["by"] = op.By
		}
		if op.Kind == kv.OpTouch && op.TTL == 0 {
			o["ttl"] = "none"
		} else if op.TTL == kv.KeepTTL {
			o["ttl"] = "keep"
		} else if op.TTL != 0 {
			o["ttl"] = fmt.Sprintf("%dms", op.TTL/time.Millisecond)
		}
		if op.Lease != (kv.LeaseID{}) {
			o["lease"] = op.Lease.String()
		}
		list = append(list, o)
	}
	return list
}

func checksJSON(checks []kv.Check) (list []map[string]any) {
	for _, k := range checks {
		o := map[string]any{"key": k.Key}
		switch k.Kind {
		case kv.CheckRev:
			o["rev"] = k.N
		case kv.CheckCreate:
			o["create_rev"] = k.N
		case kv.CheckVersion:
			o["version"] = k.N
		case kv.CheckExists:
			o["exists"] = k.N == 1
		case kv.CheckValue:
			o["value"], o["encoding"] = base64.StdEncoding.EncodeToString(k.Value), "base64"
		case kv.CheckValueNot:
			o["not_value"], o["encoding"] = base64.StdEncoding.EncodeToString(k.Value), "base64"
		}
		list = append(list, o)
	}
	return list
}

// commandAnswer is every field that an answer to a command can have.
type commandAnswer struct {
	Committed *bool  `json:"committed"`
	Failed    int    `json:"failed"`
	Rev       uint64 `json:"rev"`
	Deleted   int    `json:"deleted"`
	Results   []struct {
		load.Entry
		Created bool `json:"created"`
		Deleted bool `json:"deleted"`
		Found   bool `json:"found"`
	} `json:"results"`
}

func (h httpStore) answer(ctx context.Context, c *kv.Command, body commandAnswer, replayed bool) (kvtest.Answer, error) {
	out := kvtest.Answer{Outcome: kv.Committed, Rev: kv.Rev(body.Rev), Deleted: body.Deleted, Replayed: replayed}
	ops := c.Ops
	if body.Committed != nil && !*body.Committed {
		out.Outcome, out.Failed, ops = kv.ElseRan, body.Failed, c.Else
		// The answer does not say what the check met.
		current, err := h.Get(ctx, c.Checks[body.Failed].Key)
		if err != nil {
			return out, err
		}
		out.Current = current
	}
	if len(body.Results) != len(ops) {
		return out, fmt.Errorf("%d results of %d operations", len(body.Results), len(ops))
	}
	for i, res := range body.Results {
		var o kvtest.OpAnswer
		switch ops[i].Kind {
		case kv.OpPut:
			o = kvtest.OpAnswer{Rev: kv.Rev(res.Rev), Version: uint64(res.Version), Created: res.Created}
		case kv.OpAdd:
			o = kvtest.OpAnswer{Rev: kv.Rev(res.Rev), Version: uint64(res.Version), Created: res.Created, Sum: res.Value}
		case kv.OpTouch:
			o = kvtest.OpAnswer{Rev: kv.Rev(res.Rev), Version: uint64(res.Version)}
		case kv.OpDelete:
			o.Deleted = res.Deleted
		case kv.OpGet:
			if res.Found {
				o.Found = foundOf(res.Entry)
			}
		}
		out.Ops = append(out.Ops, o)
	}
	return out, nil
}

// foundOf converts what JSON shows; its key is empty where a reader asked for it by
// name.
func foundOf(e load.Entry) *kvtest.Found {
	value := e.Value
	if e.Encoding == "base64" {
		raw, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			panic(err) // the server wrote it
		}
		value = string(raw)
	}
	f := &kvtest.Found{
		Key: e.Key, Value: value, Rev: kv.Rev(e.Rev), Create: kv.Rev(e.CreateRev),
		Version: uint64(e.Version), TTL: e.TTL != 0,
	}
	if e.Lease != "" {
		id, err := kv.ParseLeaseID(e.Lease)
		if err != nil {
			panic(err) // likewise
		}
		f.Lease = id
	}
	return f
}

// refusal converts an answer that is an error.
func (h httpStore) refusal(a *load.Answer) (out kvtest.Answer, err error) {
	var p struct {
		load.Problem
		Index   int         `json:"index"`
		Current *load.Entry `json:"current"`
	}
	if err := a.Decode(&p); err != nil {
		return out, err
	}
	out.Replayed, out.Failed = a.Replayed(), p.Index
	outcome, decided := kvtest.Outcomes[p.Code]
	if !decided {
		if known, ok := kvtest.Refusals[p.Code]; ok {
			return out, fmt.Errorf("%w: %s", known, p.Detail)
		}
		return out, fmt.Errorf("status %d: %s", a.Status, a.Body)
	}
	out.Outcome = outcome
	if p.Current != nil {
		out.Current = foundOf(*p.Current)
	}
	return out, nil
}

func (h httpStore) Get(ctx context.Context, key string) (*kvtest.Found, error) {
	path := "/v1/kv/" + strings.ReplaceAll(url.PathEscape(key), "%2F", "/")
	a, err := h.cl.Do(ctx, load.Call{Method: "GET", Path: path}.With("Accept", "application/json"))
	if err != nil {
		return nil, err
	}
	var e load.Entry
	switch a.Status {
	case 200:
		err = a.Decode(&e)
		return foundOf(e), err
	case 404:
		return nil, nil
	}
	return nil, fmt.Errorf("get %q: status %d: %s", key, a.Status, a.Body)
}

func (h httpStore) List(ctx context.Context, prefix string) (all []kvtest.Found, err error) {
	cursor := ""
	for {
		path := "/v1/kv?limit=2&prefix=" + url.QueryEscape(prefix) + cursor
		a, err := h.cl.Do(ctx, load.Call{Method: "GET", Path: path})
		if err != nil {
			return nil, err
		}
		var p load.Page
		if err := a.Decode(&p); err != nil || a.Status != 200 {
			return nil, fmt.Errorf("list %q: status %d: %w", prefix, a.Status, err)
		}
		for _, e := range p.Entries {
			all = append(all, *foundOf(e))
		}
		if p.Next == "" {
			return all, nil
		}
		cursor = "&cursor=" + url.QueryEscape(p.Next)
	}
}
