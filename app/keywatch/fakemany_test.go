package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// under returns the keys below a prefix, in order.
func (f *fake) under(prefix string) []string {
	keys := slices.Sorted(maps.Keys(f.mu.entries))
	return slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, prefix) })
}

// prefix serves /v1/kv?prefix=.
func (f *fake) prefix(r *http.Request, _ string) fakeOut {
	q := r.URL.Query()
	keys := f.under(q.Get("prefix"))
	if r.Method == http.MethodDelete {
		if q.Get("prefix") == "" && q.Get("all") != "1" {
			return refused(400, "prefix_required", "an empty prefix needs all=1")
		}
		if len(keys) > 0 {
			f.mu.rev++
		}
		for _, k := range keys {
			f.remove(k)
		}
		return fakeOut{status: 200, body: map[string]any{"deleted": len(keys), "rev": f.mu.rev}}
	}
	if cursor := q.Get("cursor"); cursor != "" {
		keys = slices.DeleteFunc(keys, func(k string) bool { return k <= cursor })
	}
	limit := 100
	if text := q.Get("limit"); text != "" {
		limit, _ = strconv.Atoi(text)
	}
	page := map[string]any{"position": fmt.Sprintf("%s-%d", fakeEpoch, f.mu.rev)}
	if len(keys) > limit {
		keys = keys[:limit]
		page["next"] = keys[limit-1]
	}
	entries := []any{}
	for _, k := range keys {
		e := f.mu.entries[k]
		if q.Get("keys") == "1" {
			entries = append(entries, map[string]any{"key": k, "rev": e.Rev})
		} else {
			entries = append(entries, e)
		}
	}
	page["entries"] = entries
	return fakeOut{status: 200, body: page}
}

// batch serves POST /v1/batch.
func (f *fake) batch(_ *http.Request, body string) fakeOut {
	type op struct {
		Op, Key, Value, Encoding string
	}
	var b struct {
		Checks []struct {
			Key    string
			Value  *string
			Exists *bool
		}
		Ops  []op
		Else []op
	}
	if json.Unmarshal([]byte(body), &b) != nil {
		return refused(400, "bad_json", "the body is not JSON")
	}
	answer := map[string]any{"committed": true}
	ops := b.Ops
	for i, c := range b.Checks {
		e, ok := f.mu.entries[c.Key]
		if c.Exists != nil && ok == *c.Exists || c.Value != nil && ok && e.bytes == *c.Value {
			continue
		}
		if b.Else == nil {
			out := refused(412, "check_failed", fmt.Sprintf("check %d does not hold", i))
			out.body.(map[string]any)["index"] = i
			return out
		}
		answer["committed"], answer["failed"], ops = false, i, b.Else
		break
	}
	if slices.ContainsFunc(ops, func(o op) bool { return o.Op != "get" }) {
		f.mu.rev++
		answer["rev"] = f.mu.rev
	}
	results := []any{}
	for _, o := range ops {
		e, ok := f.mu.entries[o.Key]
		switch {
		case o.Op == "put":
			results = append(results, f.put(o.Key, *fakeValue(&o.Value, o.Encoding), 0).body)
		case o.Op == "delete":
			if ok {
				f.remove(o.Key)
			}
			results = append(results, map[string]any{"deleted": ok})
		case ok:
			b, _ := json.Marshal(e)
			results = append(results, json.RawMessage(`{"found":true,`+string(b[1:])))
		default:
			results = append(results, map[string]any{"found": false})
		}
	}
	answer["results"] = results
	return fakeOut{status: 200, body: answer}
}
