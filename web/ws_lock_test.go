package web_test

import (
	"fmt"
	"testing"
)

// If leases on a socket were others than those of HTTP, a client could not mix
// the two.
func TestSocketLeases(t *testing.T) {
	w := newWorld(t)
	c := w.socket("?key=a&state=0")
	c.next()
	lease := c.ask(`{"id":1,"op":"lease","ttl":"1h"}`)
	id, _ := lease["lease"].(string)
	if lease["ok"] != true || lease["ttl_ms"] != 3.6e6 || id == "" {
		t.Fatalf("got %v", lease)
	}
	c.say(`{"id":2,"op":"put","key":"a","value":"1","lease":%q}`, id)
	c.next()
	c.next()
	if f := c.ask(`{"id":3,"op":"get","key":"a"}`); f["lease"] != id {
		t.Errorf("got %v, want the lease", f)
	}
	if f := c.ask(`{"id":4,"op":"keepalive","lease":%q}`, id); f["ok"] != true || f["lease"] != id {
		t.Errorf("got %v", f)
	}
	w.want(200, "GET", "/v1/leases/"+id, "")
	c.say(`{"id":5,"op":"revoke","lease":%q}`, id)
	for range 2 {
		f := c.next()
		if f["id"] != nil && (f["ok"] != true || f["deleted"] != float64(1)) || f["type"] != nil && f["cause"] != "lease" {
			t.Errorf("got %v", f)
		}
	}
	c.refused("lease_not_found", 6, `{"id":6,"op":"keepalive","lease":%q}`, id)
	c.refused("lease_not_found", 7, `{"id":7,"op":"revoke","lease":"nonsense"}`)
	c.refused("lease_ended", 8, `{"id":8,"op":"put","key":"a","value":"1","lease":%q}`, id)
	c.refused("lease_ended", 9, `{"id":9,"op":"cas","key":"a","expected":null,"new":"1","lease":"x"}`)
	c.refused("lease_ended", 10, `{"id":10,"op":"batch","ops":[{"op":"put","key":"a","value":"1","lease":%q}]}`, id)
	c.refused("bad_duration", 11, `{"id":11,"op":"lease","ttl":"keep"}`)
	c.refused("bad_json", 12, `{"id":12,"op":"keepalive"}`)
	c.refused("bad_json", 13, `{"id":13,"op":"keepalive","lease":%q,"lock":"l","token":1}`, id)
}

// If a lock on a socket could not be waited for beside other commands, handed on,
// or used as a fence, it would be no lock.
func TestSocketLocks(t *testing.T) {
	w := newWorld(t)
	a, b := w.socket(""), w.socket("")
	first := a.ask(`{"id":1,"op":"lock","lock":"l","ttl":"1h","owner":"a"}`)
	if first["ok"] != true || first["token"] == nil {
		t.Fatalf("got %v", first)
	}
	b.refused("lock_held", 1, `{"id":1,"op":"lock","lock":"l","ttl":"1h"}`)
	b.say(`{"id":2,"op":"lock","lock":"l","ttl":"1h","wait":"5m","owner":"b"}`)
	w.waiters(1)
	if f := b.ask(`{"id":3,"op":"ping"}`); f["id"] != float64(3) {
		t.Errorf("got %v while a lock is waited for", f)
	}
	token := first["token"].(float64)
	if f := a.ask(`{"id":2,"op":"put","key":"k","value":"1","fence":{"l":%.0f}}`, token); f["ok"] != true {
		t.Errorf("got %v under the fence", f)
	}
	if f := a.ask(`{"id":3,"op":"keepalive","lock":"l","token":%.0f}`, token); f["token"] != token {
		t.Errorf("got %v", f)
	}
	if f := a.ask(`{"id":4,"op":"unlock","lock":"l","token":%.0f}`, token); f["ok"] != true {
		t.Errorf("got %v", f)
	}
	second := b.next()
	if second["id"] != float64(2) || second["ok"] != true || second["token"].(float64) <= token {
		t.Fatalf("got %v, want the lock and a larger token than %v", second, token)
	}
	a.refused("fence_lost", 5, `{"id":5,"op":"put","key":"k","value":"2","fence":{"l":%.0f}}`, token)
	a.refused("lock_lost", 6, `{"id":6,"op":"unlock","lock":"l","token":%.0f}`, token)
	a.refused("bad_json", 7, `{"id":7,"op":"unlock","lock":"l"}`)
	a.refused("bad_key", 0, `{"op":"unlock","lock":"no/lock","force":true,"id":8}`)
	if f := a.ask(`{"id":9,"op":"unlock","lock":"l","force":true}`); f["ok"] != true {
		t.Errorf("got %v", f)
	}
	a.refused("lock_not_held", 10, `{"id":10,"op":"unlock","lock":"l","force":true}`)
}

// If a socket that closes kept its places, or a lock that it was granted too
// late, others would wait for nobody.
func TestSocketLosesItsPlaces(t *testing.T) {
	w := newWorld(t)
	holder := w.socket("").ask(`{"id":1,"op":"lock","lock":"l","ttl":"1h"}`)
	for range 5 {
		c := w.socket("")
		for i := range 10 {
			c.say(`{"id":%d,"op":"lock","lock":"l","ttl":"1h","wait":"5m"}`, i+1)
		}
		w.eventually("ten wait", func() bool { return w.state.Stats().LockWaiters == 10 })
		c.conn.CloseNow()
		w.waiters(0)
	}
	w.eventually("no command waits", func() bool { return w.metric("keywatch_socket_lock_waits") == 0 })
	c := w.socket("")
	c.say(`{"id":1,"op":"lock","lock":"l","ttl":"1h","wait":"5m"}`)
	w.waiters(1)
	w.want(204, "DELETE", fmt.Sprintf("/v1/locks/l?token=%.0f", holder["token"]), "")
	if f := c.next(); f["ok"] != true {
		t.Errorf("got %v, want the lock at last", f)
	}
}

// Without it a server could not stop while a command waits for a lock.
func TestSocketLockWaitEndsAtShutdown(t *testing.T) {
	w := newWorld(t)
	w.want(200, "POST", "/v1/locks/l", `{"ttl":"1h"}`)
	c := w.socket("")
	c.say(`{"id":1,"op":"lock","lock":"l","ttl":"1h","wait":"5m"}`)
	w.waiters(1)
	stopped := make(chan error)
	go func() { stopped <- w.server.Shutdown(t.Context()) }()
	if f := c.next(); f["error"].(map[string]any)["code"] != "stopping" {
		t.Errorf("got %v, want stopping", f)
	}
	c.wantClose(1012)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if n := w.state.Stats().LockWaiters; n != 0 {
		t.Errorf("%d places are left", n)
	}
}
