package e2e_test

import (
	"errors"
	"keywatch/test/load"
	"net/http"
	"sync/atomic"
	"testing"
)

var errLost = errors.New("the answer was lost")

// A loser is a transport that loses the answers to requests while it is on: the
// server has applied them, and the client does not know.
type loser struct {
	next http.RoundTripper
	on   atomic.Bool
}

func (l *loser) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err == nil && l.on.Load() {
		resp.Body.Close()
		return nil, errLost
	}
	return resp, err
}

// TestRetryAppliesOnce: a write that is sent again with the same Idempotency-Key
// after its answer was lost, and even after the server was killed in between, is
// applied once and gets the answer of the first time; another request under that
// key is refused.
func TestRetryAppliesOnce(t *testing.T) {
	t.Parallel()
	keep := keep(t, t.TempDir())
	var transport *loser
	cl := load.NewClient(t, keep.url, func(next http.RoundTripper) http.RoundTripper {
		transport = &loser{next: next}
		return transport
	})
	for _, kill := range []bool{false, true} {
		t.Run(map[bool]string{false: "same server", true: "after a kill"}[kill], func(t *testing.T) {
			for _, c := range retried() {
				cl.Must(t, load.Call{Method: "DELETE", Path: "/v1/kv?all=1&prefix="}, 200)
				cl.Put(t, "there", "1")
				req := c.call.With("Idempotency-Key", c.name+t.Name())
				transport.on.Store(true)
				if _, err := cl.Do(t.Context(), req); !errors.Is(err, errLost) {
					t.Fatalf("%s: %v, want the answer lost", c.name, err)
				}
				transport.on.Store(false)
				if kill {
					keep.server().kill()
					keep.restart(t)
				}
				first := cl.Must(t, req, c.status)
				again := cl.Must(t, req, c.status)
				if !first.Replayed() || first.Body != again.Body || first.ETag() != again.ETag() {
					t.Errorf("%s: answers %+v and %+v, want both the first one's", c.name, first, again)
				}
				entries, _ := cl.List(t, "")
				if got := entries[c.key].Version; got != c.version {
					t.Errorf("%s: version %d of %s, want %d", c.name, got, c.key, c.version)
				}
				req.Body += "x"
				if c.call.Method == "PUT" {
					cl.Must(t, req, 422)
				}
			}
		})
	}
}

// A retriedCall is a request that the store, which has only the key there,
// answers with status, and that leaves key at version.
type retriedCall struct {
	name    string
	call    load.Call
	status  int
	key     string
	version int
}

func retried() []retriedCall {
	return []retriedCall{
		{"put", load.PutCall("new", "1"), 201, "new", 1},
		{"put-again", load.PutCall("there", "2"), 200, "there", 2},
		{"create", load.PutCall("new", "1").With("If-None-Match", "*"), 201, "new", 1},
		{"create-refused", load.PutCall("there", "2").With("If-None-Match", "*"), 412, "there", 1},
		{"delete", load.Call{Method: "DELETE", Path: "/v1/kv/there"}, 204, "there", 0},
		{"delete-nothing", load.Call{Method: "DELETE", Path: "/v1/kv/new"}, 404, "there", 1},
		{"swap", load.Call{Method: "POST", Path: "/v1/cas/there", Body: `{"expected":"1","new":"2"}`}, 200, "there", 2},
		{"batch", load.Batch{Ops: []load.BatchOp{load.OpPut("new", "1"), load.OpDelete("there")}}.Call(), 200, "new", 1},
		{"delete-prefix", load.Call{Method: "DELETE", Path: "/v1/kv?prefix=the"}, 200, "there", 0},
	}
}
