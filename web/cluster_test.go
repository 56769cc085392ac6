package web_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"keywatch/kv"
	"keywatch/web"
	"keywatch/web/api"
)

// A change is what the operator asked for.
type change struct {
	op, node string
	now      bool
}

// clustered makes a server one of several, and notes what it is asked to change. fail is what changes fail
// with.
func clustered(o *web.Options, last *atomic.Pointer[change], fail *error) {
	o.Cluster = web.Cluster{
		Document: func(context.Context) any {
			return map[string]any{
				"cluster": "c", "epoch": "7f3a9c21", "level": 3, "term": 12, "leader": "n2", "quorum": 2, "copies": "2/3", "tolerates": 1,
				"members": []map[string]any{{"id": "1", "name": "n1", "role": "voter", "state": "ready", "url": "http://n1:7070", "peer": "n1:7071", "lag_ms": 90, "behind": 0, "version": "v", "room": true, "disk_free": 123}},
			}
		},
		Change: func(_ context.Context, op, node string, now bool) error {
			last.Store(&change{op, node, now})
			return *fail
		},
		Members: func() *web.Members { return shownMembers },
	}
}

var shownMembers = &web.Members{URLs: []string{"http://n1.example:7070", "https://N2.example"}, Copies: "2/3"}

// If this failed, an operator could not see or change the members over HTTP, or would be told too little of
// why not.
func TestClusterRoutes(t *testing.T) {
	var last atomic.Pointer[change]
	var fail error
	w := newWorld(t, func(o *web.Options) { clustered(o, &last, &fail) })
	d := newDescriber(t, w)
	d.check(true, 200, "GET", "/v1/cluster", "")
	for _, c := range []struct {
		path, body string
		want       change
	}{
		{"promote", `{"node":"n3","now":true}`, change{"promote", "n3", true}},
		{"remove", `{"node":"n3"}`, change{"remove", "n3", false}},
		{"transfer", `{"node":"n2"}`, change{"transfer", "n2", false}},
		{"transfer", `{}`, change{"transfer", "", false}},
	} {
		d.check(true, 200, "POST", "/v1/cluster/"+c.path, c.body)
		if got := last.Load(); *got != c.want {
			t.Errorf("%s %s: got %+v, want %+v", c.path, c.body, *got, c.want)
		}
	}
	last.Store(nil)
	w.want(200, "POST", "/v1/cluster/transfer", "")
	for _, c := range [][2]string{{"promote", `{}`}, {"remove", ``}, {"remove", `{"node":"n3","now":true}`}, {"promote", `{"nodes":"n3"}`}, {"promote", `["n3"]`}, {"promote", `{"node":"n3"}{}`}} {
		w.refused(400, "bad_json", "POST", "/v1/cluster/"+c[0], c[1])
	}
	fail = &api.Failure{Code: api.CodeQuorumAtRisk, Detail: "too few"}
	d.check(true, 409, "POST", "/v1/cluster/remove", `{"node":"n3"}`)
	fail = kv.ErrNoLeader
	w.refused(503, "no_leader", "POST", "/v1/cluster/remove", `{"node":"n3"}`)
}

// A server that is not ready must still answer what it can, and say how the cluster is: that is when it is
// asked.
func TestServingIsNotReady(t *testing.T) {
	var last atomic.Pointer[change]
	var fail error
	var serving atomic.Pointer[error]
	w := newWorld(t, func(o *web.Options) {
		clustered(o, &last, &fail)
		o.Ready = func() error { return kv.ErrNoLeader }
		o.Serving = func() error {
			if err := serving.Load(); err != nil {
				return *err
			}
			return nil
		}
	})
	w.refused(503, "no_leader", "GET", "/readyz", "")
	w.want(200, "GET", "/healthz", "")
	w.want(404, "GET", "/v1/kv/none?consistency=local", "")
	starting := error(kv.ErrStarting)
	serving.Store(&starting)
	w.refused(503, "starting", "GET", "/v1/kv/none?consistency=local", "")
	w.want(200, "GET", "/v1/cluster", "")
	w.want(200, "GET", "/v1/status", "")
	w.want(200, "GET", "/healthz", "")
}

// A page that one member has served must be able to go on at another, whatever name that has, and writes
// must say how many copies there are.
func TestMembersAreOwn(t *testing.T) {
	var last atomic.Pointer[change]
	var fail error
	w := newWorld(t, func(o *web.Options) { clustered(o, &last, &fail) })
	r := w.want(201, "PUT", "/v1/kv/a", "1", "Host", "n1.example:7070", "Origin", "https://n2.example")
	if got := r.header.Get("Keywatch-Durability"); got != "memory; copies=2/3" {
		t.Errorf("Keywatch-Durability: got %q", got)
	}
	if got := r.header.Get("Access-Control-Allow-Origin"); !strings.EqualFold(got, "https://n2.example") {
		t.Errorf("Access-Control-Allow-Origin: got %q", got)
	}
	w.refused(421, "host_not_allowed", "GET", "/v1/kv/a", "", "Host", "n3.example")
	w.refused(403, "origin_not_allowed", "GET", "/v1/kv/a", "", "Origin", "http://n2.example")
}
