package load

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// A Workload draws random requests on a few keys, as one client sends them. It
// remembers what it saw, so that its conditions often hold.
type Workload struct {
	Rand *rand.Rand
	// Name is of the client: part of every value it writes.
	Name string
	// Keys is how many keys it uses, at most ModelKeys, Prefix what their names begin with.
	Keys   int
	Prefix string
	n      int
	seen   [ModelKeys]cell
	tags   [ModelKeys]string // ETag of seen
}

// key is what the key numbered n is called.
func (w *Workload) key(n int) string { return w.Prefix + "keys/" + strconv.Itoa(n) }

// fresh returns a value that was not written before.
func (w *Workload) fresh() string {
	w.n++
	return fmt.Sprintf("%s.%d", w.Name, w.n)
}

// next draws a request, and the call that asks for it. With one true it never
// has a guard on one key and a step on another.
func (w *Workload) next(one bool) (request, Call) {
	k := w.Rand.IntN(w.Keys)
	put, del, get := step{"put", k, w.fresh()}, step{"delete", k, ""}, step{"get", k, ""}
	path := "/v1/kv/" + w.key(k)
	switch p := w.Rand.IntN(100); {
	case p < 30:
		return request{steps: []step{get}}, Call{Method: "GET", Path: path}
	case p < 45:
		return request{steps: []step{put}}, Call{Method: "PUT", Path: path, Body: put.value}
	case p < 52:
		return request{[]guard{{key: k, absent: true}}, []step{put}},
			Call{Method: "PUT", Path: path, Body: put.value}.With("If-None-Match", "*")
	case p < 62 && w.tags[k] != "":
		return request{[]guard{w.sawAt(k)}, []step{put}},
			Call{Method: "PUT", Path: path, Body: put.value}.With("If-Match", w.tags[k])
	case p < 68:
		return request{steps: []step{del}}, Call{Method: "DELETE", Path: path}
	case p < 72 && w.tags[k] != "":
		return request{[]guard{w.sawAt(k)}, []step{del}},
			Call{Method: "DELETE", Path: path}.With("If-Match", w.tags[k])
	case p < 82:
		return w.cas(k, put)
	}
	return w.batch(k, one)
}

// sawAt is the condition that key k still holds what was seen last.
func (w *Workload) sawAt(k int) guard {
	return guard{key: k, absent: !w.seen[k].present, value: w.seen[k].value}
}

func (w *Workload) cas(k int, put step) (request, Call) {
	g := w.sawAt(k)
	body := map[string]any{"expected": nil, "new": put.value}
	if !g.absent {
		body["expected"] = g.value
	}
	text, _ := json.Marshal(body)
	return request{[]guard{g}, []step{put}}, Call{Method: "POST", Path: "/v1/cas/" + w.key(k), Body: string(text)}
}

// batch draws a batch of up to three keys: only gets, or gets, puts and deletes.
func (w *Workload) batch(k int, one bool) (request, Call) {
	var r request
	var b Batch
	readOnly := w.Rand.IntN(4) == 0
	keys := w.Rand.Perm(w.Keys)[:min(w.Keys, 1+w.Rand.IntN(3))]
	for _, key := range keys {
		do := [...]string{"put", "put", "get", "delete"}[w.Rand.IntN(4)]
		if readOnly {
			do = "get"
		}
		st := step{do: do, key: key}
		switch do {
		case "put":
			st.value = w.fresh()
			b.Ops = append(b.Ops, OpPut(w.key(key), st.value))
		case "get":
			b.Ops = append(b.Ops, OpGet(w.key(key)))
		case "delete":
			b.Ops = append(b.Ops, OpDelete(w.key(key)))
		}
		r.steps = append(r.steps, st)
	}
	if w.Rand.IntN(2) == 0 || one && len(keys) > 1 {
		return r, b.Call()
	}
	if one {
		k = keys[0]
	}
	g := w.sawAt(k)
	r.guards = []guard{g}
	check := map[string]any{"key": w.key(k), "exists": false}
	if !g.absent {
		check = map[string]any{"key": w.key(k), "value": g.value}
	}
	b.Checks = []map[string]any{check}
	return r, b.Call()
}

// reply reads what the server answered to r and remembers it. An answer that no
// server should give is an error.
func (w *Workload) reply(r request, c Call, a *Answer) (reply, error) {
	rep := reply{held: a.Status != 412}
	switch {
	case a.Status == 412:
		return rep, w.current(r, &rep, a)
	case c.Path == "/v1/batch":
		return rep, w.results(r, &rep, a)
	case a.Status == 404 && c.Method == "GET":
		rep.steps = []cell{{}}
	case a.Status == 200 && c.Method == "GET":
		rep.steps = []cell{{true, a.Body, a.Version()}}
	case c.Method == "DELETE" && (a.Status == 204 || a.Status == 404):
		rep.steps = []cell{{present: a.Status == 204}}
	case (c.Method == "PUT" || c.Method == "POST") && (a.Status == 200 || a.Status == 201):
		var got written
		if err := a.Decode(&got); err != nil {
			return rep, err
		}
		if created := got.Version == 1; got.Created != created || (c.Method == "PUT" && (a.Status == 201) != created) {
			return rep, fmt.Errorf("version %d answered with created=%v and status %d", got.Version, got.Created, a.Status)
		}
		rep.steps = []cell{{true, r.steps[0].value, got.Version}}
	default:
		return rep, fmt.Errorf("%s %s: status %d: %s", c.Method, c.Path, a.Status, a.Body)
	}
	w.remember(r.steps[0].key, rep.steps[0], a.ETag())
	return rep, nil
}

func (w *Workload) remember(key int, c cell, etag string) {
	if !c.present {
		c, etag = cell{}, ""
	}
	w.seen[key], w.tags[key] = c, etag
}

// current reads the cell that a failed condition met. A replayed answer may not
// know the value any more, which is then left out.
func (w *Workload) current(r request, rep *reply, a *Answer) error {
	var got struct {
		Current *struct {
			Value   *string `json:"value"`
			Version int     `json:"version"`
		} `json:"current"`
	}
	if err := a.Decode(&got); err != nil {
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
	w.remember(r.guards[0].key, *rep.current, a.ETag())
	return nil
}

// results reads the answer to a batch whose checks held.
func (w *Workload) results(r request, rep *reply, a *Answer) error {
	var got Batched
	if a.Status != 200 {
		return fmt.Errorf("batch: status %d: %s", a.Status, a.Body)
	}
	if err := a.Decode(&got); err != nil {
		return err
	}
	if !got.Committed || len(got.Results) != len(r.steps) {
		return fmt.Errorf("batch of %d: %s", len(r.steps), a.Body)
	}
	for i, st := range r.steps {
		res := got.Results[i]
		var c cell
		switch {
		case st.do == "put":
			c = cell{true, st.value, res.Version}
		case st.do == "delete":
			c.present = res.Deleted
		case res.Found && res.Value == nil && a.Replayed():
			c = cell{present: true, value: hidden, version: res.Version}
		case res.Found:
			c = cell{true, *res.Value, res.Version}
		}
		rep.steps = append(rep.steps, c)
	}
	return nil
}
