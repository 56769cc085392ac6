package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// A workload draws random requests on a few keys, as one client sends them. It
// remembers what it saw, so that its conditions often hold.
type workload struct {
	rng  *rand.Rand
	name string // of the client: part of every value it writes
	keys int
	n    int
	seen [modelKeys]cell
	tags [modelKeys]string // ETag of seen
}

// keyName is what the key numbered n is called.
func keyName(n int) string { return "keys/" + strconv.Itoa(n) }

// fresh returns a value that was not written before.
func (w *workload) fresh() string {
	w.n++
	return fmt.Sprintf("%s.%d", w.name, w.n)
}

// next draws a request, and the call that asks for it. With one true it never
// has a guard on one key and a step on another.
func (w *workload) next(one bool) (request, call) {
	k := w.rng.IntN(w.keys)
	put, del, get := step{"put", k, w.fresh()}, step{"delete", k, ""}, step{"get", k, ""}
	path := "/v1/kv/" + keyName(k)
	switch p := w.rng.IntN(100); {
	case p < 30:
		return request{steps: []step{get}}, call{method: "GET", path: path}
	case p < 45:
		return request{steps: []step{put}}, call{method: "PUT", path: path, body: put.value}
	case p < 52:
		return request{[]guard{{key: k, absent: true}}, []step{put}},
			call{method: "PUT", path: path, body: put.value}.with("If-None-Match", "*")
	case p < 62 && w.tags[k] != "":
		return request{[]guard{w.sawAt(k)}, []step{put}},
			call{method: "PUT", path: path, body: put.value}.with("If-Match", w.tags[k])
	case p < 68:
		return request{steps: []step{del}}, call{method: "DELETE", path: path}
	case p < 72 && w.tags[k] != "":
		return request{[]guard{w.sawAt(k)}, []step{del}},
			call{method: "DELETE", path: path}.with("If-Match", w.tags[k])
	case p < 82:
		return w.cas(k, put)
	}
	return w.batch(k, one)
}

// sawAt is the condition that key k still holds what was seen last.
func (w *workload) sawAt(k int) guard {
	return guard{key: k, absent: !w.seen[k].present, value: w.seen[k].value}
}

func (w *workload) cas(k int, put step) (request, call) {
	g := w.sawAt(k)
	body := map[string]any{"expected": nil, "new": put.value}
	if !g.absent {
		body["expected"] = g.value
	}
	text, _ := json.Marshal(body)
	return request{[]guard{g}, []step{put}}, call{method: "POST", path: "/v1/cas/" + keyName(k), body: string(text)}
}

// batch draws a batch of up to three keys: only gets, or gets, puts and deletes.
func (w *workload) batch(k int, one bool) (request, call) {
	var r request
	var b batch
	readOnly := w.rng.IntN(4) == 0
	keys := w.rng.Perm(w.keys)[:min(w.keys, 1+w.rng.IntN(3))]
	for _, key := range keys {
		do := [...]string{"put", "put", "get", "delete"}[w.rng.IntN(4)]
		if readOnly {
			do = "get"
		}
		st := step{do: do, key: key}
		switch do {
		case "put":
			st.value = w.fresh()
			b.Ops = append(b.Ops, opPut(keyName(key), st.value))
		case "get":
			b.Ops = append(b.Ops, opGet(keyName(key)))
		case "delete":
			b.Ops = append(b.Ops, opDelete(keyName(key)))
		}
		r.steps = append(r.steps, st)
	}
	if w.rng.IntN(2) == 0 || one && len(keys) > 1 {
		return r, b.call()
	}
	if one {
		k = keys[0]
	}
	g := w.sawAt(k)
	r.guards = []guard{g}
	check := map[string]any{"key": keyName(k), "exists": false}
	if !g.absent {
		check = map[string]any{"key": keyName(k), "value": g.value}
	}
	b.Checks = []map[string]any{check}
	return r, b.call()
}

// reply reads what the server answered to r and remembers it. An answer that no
// server should give is an error.
func (w *workload) reply(r request, c call, a *answer) (reply, error) {
	rep := reply{held: a.status != 412}
	switch {
	case a.status == 412:
		return rep, w.current(r, &rep, a)
	case c.path == "/v1/batch":
		return rep, w.results(r, &rep, a)
	case a.status == 404 && c.method == "GET":
		rep.steps = []cell{{}}
	case a.status == 200 && c.method == "GET":
		rep.steps = []cell{{true, a.body, a.version()}}
	case c.method == "DELETE" && (a.status == 204 || a.status == 404):
		rep.steps = []cell{{present: a.status == 204}}
	case (c.method == "PUT" || c.method == "POST") && (a.status == 200 || a.status == 201):
		var got written
		if err := a.decode(&got); err != nil {
			return rep, err
		}
		if created := got.Version == 1; got.Created != created || (c.method == "PUT" && (a.status == 201) != created) {
			return rep, fmt.Errorf("version %d answered with created=%v and status %d", got.Version, got.Created, a.status)
		}
		rep.steps = []cell{{true, r.steps[0].value, got.Version}}
	default:
		return rep, fmt.Errorf("%s %s: status %d: %s", c.method, c.path, a.status, a.body)
	}
	w.remember(r.steps[0].key, rep.steps[0], a.etag())
	return rep, nil
}

func (w *workload) remember(key int, c cell, etag string) {
	if !c.present {
		c, etag = cell{}, ""
	}
	w.seen[key], w.tags[key] = c, etag
}

// current reads the cell that a failed condition met. A replayed answer may not
// know the value any more, which is then left out.
func (w *workload) current(r request, rep *reply, a *answer) error {
	var got struct {
		Current *struct {
			Value   *string `json:"value"`
			Version int     `json:"version"`
		} `json:"current"`
	}
	if err := a.decode(&got); err != nil {
		return err
	}
	switch {
	case got.Current == nil:
		rep.current = &cell{}
	case got.Current.Value != nil:
		rep.current = &cell{true, *got.Current.Value, got.Current.Version}
	default:
		return nil
	}
	w.remember(r.guards[0].key, *rep.current, a.etag())
	return nil
}

// results reads the answer to a batch whose checks held.
func (w *workload) results(r request, rep *reply, a *answer) error {
	var got batched
	if a.status != 200 {
		return fmt.Errorf("batch: status %d: %s", a.status, a.body)
	}
	if err := a.decode(&got); err != nil {
		return err
	}
	if !got.Committed || len(got.Results) != len(r.steps) {
		return fmt.Errorf("batch of %d: %s", len(r.steps), a.body)
	}
	for i, st := range r.steps {
		res := got.Results[i]
		var c cell
		switch {
		case st.do == "put":
			c = cell{true, st.value, res.Version}
		case st.do == "delete":
			c.present = res.Deleted
		case res.Found && res.Value == nil && a.replayed():
			c = cell{present: true, value: hidden, version: res.Version}
		case res.Found:
			c = cell{true, *res.Value, res.Version}
		}
		rep.steps = append(rep.steps, c)
	}
	return nil
}
