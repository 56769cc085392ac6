package web_test

import (
	"fmt"
	"strings"
	"testing"

	"keywatch/kv"
)

// tick logs the time, ms milliseconds later than it is, and so ends what is due
// then. From the first tick on time passes by ticks only.
func (w *world) tick(ms int64) {
	w.t.Helper()
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.stands.Store(max(1, w.log.Now()+ms))
	w.log.index++
	if _, err := w.log.state.Apply(w.log.index, 1, kv.EncodeEntry(w.log.Now())); err != nil {
		w.t.Fatal(err)
	}
}

// grant begins a lease and returns its id.
func (w *world) grant(ttl string) string {
	w.t.Helper()
	return w.want(201, "POST", "/v1/leases", `{"ttl":"`+ttl+`"}`).field("id").(string)
}

// If this failed, keys would outlive the lease they are attached to, be deleted one by one,
// or readers could not tell what they are attached to.
func TestLeaseEndsWithItsKeys(t *testing.T) {
	w := newWorld(t)
	w.tick(0) // time stands still
	id := w.grant("10s")
	w.want(201, "PUT", "/v1/kv/a?lease="+id, "1")
	w.want(201, "POST", "/v1/cas/b", `{"expected":null,"new":"2","lease":"`+id+`"}`)
	w.want(200, "POST", "/v1/batch", `{"ops":[{"op":"put","key":"c","value":"3","lease":"`+id+`"}]}`)
	w.want(201, "PUT", "/v1/kv/d?ttl=1s&lease="+id, "4")
	if got := w.want(200, "GET", "/v1/kv/a", "").header.Get("Keywatch-Lease"); got != id {
		t.Errorf("Keywatch-Lease: got %q, want %q", got, id)
	}
	if got := w.want(200, "GET", "/v1/kv/b", "", "Accept", "application/json").field("lease"); got != id {
		t.Errorf("lease: got %v, want %q", got, id)
	}
	if got := w.want(200, "GET", "/v1/leases/"+id, "").field("keys"); got != 4.0 {
		t.Errorf("keys: got %v, want 4", got)
	}
	w.want(200, "PUT", "/v1/kv/c", "kept") // without the lease it stays
	w.tick(2000)
	w.want(404, "GET", "/v1/kv/d", "") // the earlier end counts
	w.tick(7000)
	w.want(200, "POST", "/v1/leases/"+id+"/keepalive", "")
	w.tick(9000)
	w.want(200, "GET", "/v1/kv/a", "")
	before := w.state.Position()
	w.tick(1100)
	if after := w.state.Position(); after.Rev != before.Rev+1 {
		t.Errorf("the end of the lease took revisions %d to %d, want one", before.Rev, after.Rev)
	}
	w.want(404, "GET", "/v1/kv/a", "")
	w.want(404, "GET", "/v1/kv/b", "")
	w.want(200, "GET", "/v1/kv/c", "")
	stream := w.want(200, "GET", "/v1/kv?prefix=", "")
	if strings.Contains(stream.body, id) {
		t.Errorf("a key still names the lease: %s", stream.body)
	}
	w.refused(404, "lease_not_found", "POST", "/v1/leases/"+id+"/keepalive", "")
	w.refused(404, "lease_not_found", "GET", "/v1/leases/"+id, "")
	for _, c := range []struct{ method, path, body string }{
		{"PUT", "/v1/kv/x?lease=" + id, "1"},
		{"PUT", "/v1/kv/x?lease=nonsense", "1"},
		{"POST", "/v1/cas/x", `{"expected":null,"new":"2","lease":"` + id + `"}`},
		{"POST", "/v1/batch", `{"ops":[{"op":"put","key":"y","value":""},{"op":"put","key":"x","value":"","lease":"` + id + `"}]}`},
	} {
		w.refused(409, "lease_ended", c.method, c.path, c.body)
	}
}

// If this failed, a lease could not be ended early, or a retried request would
// begin a second one.
func TestLeaseGrantAndRevoke(t *testing.T) {
	w := newWorld(t)
	first := w.want(201, "POST", "/v1/leases", `{"ttl":30}`, "Idempotency-Key", "k")
	again := w.want(201, "POST", "/v1/leases", `{"ttl":30}`, "Idempotency-Key", "k")
	if first.body != again.body || again.header.Get("Idempotency-Replayed") != "true" || w.state.Stats().Leases != 1 {
		t.Errorf("got %s, then %s with %d leases", first.body, again.body, w.state.Stats().Leases)
	}
	id := first.field("id").(string)
	w.want(201, "PUT", "/v1/kv/a?lease="+id, "1")
	r := w.want(200, "DELETE", "/v1/leases/"+id, "")
	if r.field("deleted") != 1.0 || r.field("rev") != 2.0 {
		t.Errorf("got %s, want one key deleted at revision 2", r.body)
	}
	w.want(404, "GET", "/v1/kv/a", "")
	w.refused(404, "lease_not_found", "DELETE", "/v1/leases/"+id, "")
}

// If this failed, one caller could fill the memory of every node with leases, or
// one lease could end with more keys than history holds.
func TestLeaseBounds(t *testing.T) {
	w := newWorldWith(t, kv.Params{LeaseMax: 3, LeasePerCaller: 2, LeaseKeys: 2}, kv.Limits{})
	id := w.grant("1h")
	w.grant("1h")
	if r := w.refused(429, "rate_limited", "POST", "/v1/leases", `{"ttl":"1h"}`); r.field("limit") != 2.0 {
		t.Errorf("limit: got %v, want 2", r.field("limit"))
	}
	w.refused(429, "rate_limited", "POST", "/v1/locks/l", `{"ttl":"1h"}`)
	for i := range 2 {
		w.want(201, "PUT", fmt.Sprintf("/v1/kv/%d?lease=%s", i, id), "")
	}
	w.want(200, "PUT", "/v1/kv/1?lease="+id, "again")
	if r := w.refused(413, "batch_too_large", "PUT", "/v1/kv/2?lease="+id, ""); r.field("limit") != 2.0 {
		t.Errorf("limit: got %v, want 2", r.field("limit"))
	}
}

// If this failed, a write that a lock's former holder still sends would get
// through: the fence is what makes a lock more than advice.
func TestFenceIsEnforcedOnEveryWrite(t *testing.T) {
	w := newWorld(t)
	w.tick(0) // time stands still
	w.want(201, "PUT", "/v1/kv/a", "0")
	token := w.want(200, "POST", "/v1/locks/deploy", `{"ttl":"10s"}`).field("token").(float64)
	held, other := fmt.Sprintf("deploy=%.0f", token), w.want(200, "POST", "/v1/locks/other", `{"ttl":"1h"}`).field("token")
	both := fmt.Sprintf("%s, other=%.0f", held, other)
	writes := []struct {
		method, path, body string
		status             int
	}{
		{"PUT", "/v1/kv/a", "1", 200},
		{"POST", "/v1/cas/a", `{"expected":"1","new":"2"}`, 200},
		{"POST", "/v1/batch", `{"ops":[{"op":"put","key":"b/1","value":"1"}],"else":[]}`, 200},
		{"DELETE", "/v1/kv?prefix=b/", "", 200},
		{"DELETE", "/v1/kv/a", "", 204},
		{"POST", "/v1/leases", `{"ttl":"1h"}`, 201},
	}
	for _, c := range writes {
		w.want(c.status, c.method, c.path, c.body, "If-Fence", both)
	}
	check := fmt.Sprintf(`{"checks":[{"lock":"deploy","token":%.0f}],"ops":[{"op":"put","key":"b/2","value":"1"}]}`, token)
	w.want(200, "POST", "/v1/batch", check)
	// The holder sleeps past its TTL, and another takes the lock.
	w.tick(10_001)
	next := w.want(200, "POST", "/v1/locks/deploy", `{"ttl":"1h","owner":"next"}`).field("token").(float64)
	if next <= token {
		t.Errorf("the token went from %v to %v, want it to grow", token, next)
	}
	for _, c := range writes {
		r := w.refused(412, "fence_lost", c.method, c.path, c.body, "If-Fence", both)
		if holder, _ := r.field("holder").(map[string]any); holder["value"] != "next" || r.field("lock") != "deploy" {
			t.Errorf("%s %s: got %s, want the holder", c.method, c.path, r.body)
		}
	}
	w.refused(412, "check_failed", "POST", "/v1/batch", check)
	w.refused(412, "fence_lost", "POST", "/v1/batch", `{"checks":[{"key":"none","exists":true}],"ops":[],"else":[{"op":"put","key":"x","value":""}]}`, "If-Fence", held)
}
