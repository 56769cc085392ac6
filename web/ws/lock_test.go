package ws_test

import (
	"context"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/ratelimit"
)

// If leases on a socket were others than those of the store, a client could not mix
// protocols.
func TestSocketLeases(t *testing.T) {
	w := newWorld(t)
	c := w.socket("?key=a&state=0")
	c.Next()
	lease := c.Ask(`{"id":1,"op":"lease","ttl":"1h"}`)
	id, _ := lease["lease"].(string)
	if lease["ok"] != true || lease["ttl_ms"] != 3.6e6 || id == "" {
		t.Fatalf("got %v", lease)
	}
	c.Say(`{"id":2,"op":"put","key":"a","value":"1","lease":%q}`, id)
	c.Next()
	c.Next()
	if f := c.Ask(`{"id":3,"op":"get","key":"a"}`); f["lease"] != id {
		t.Errorf("got %v, want the lease", f)
	}
	if f := c.Ask(`{"id":4,"op":"keepalive","lease":%q}`, id); f["ok"] != true || f["lease"] != id {
		t.Errorf("got %v", f)
	}
	if w.remaining(id) == 0 {
		t.Error("a lease that was renewed has ended")
	}
	c.Say(`{"id":5,"op":"revoke","lease":%q}`, id)
	for range 2 {
		f := c.Next()
		if f["id"] != nil && (f["ok"] != true || f["deleted"] != float64(1)) || f["type"] != nil && f["cause"] != "lease" {
			t.Errorf("got %v", f)
		}
	}
	c.Refused("lease_not_found", 6, `{"id":6,"op":"keepalive","lease":%q}`, id)
	c.Refused("lease_not_found", 7, `{"id":7,"op":"revoke","lease":"nonsense"}`)
	c.Refused("lease_ended", 8, `{"id":8,"op":"put","key":"a","value":"1","lease":%q}`, id)
	c.Refused("lease_ended", 9, `{"id":9,"op":"cas","key":"a","expected":null,"new":"1","lease":"x"}`)
	c.Refused("lease_ended", 10, `{"id":10,"op":"batch","ops":[{"op":"put","key":"a","value":"1","lease":%q}]}`, id)
	c.Refused("bad_duration", 11, `{"id":11,"op":"lease","ttl":"keep"}`)
	c.Refused("bad_json", 12, `{"id":12,"op":"keepalive"}`)
	c.Refused("bad_json", 13, `{"id":13,"op":"keepalive","lease":%q,"lock":"l","token":1}`, id)
}

// If a lock on a socket could not be waited for beside other commands, handed on,
// or used as a fence, it would be no lock.
func TestSocketLocks(t *testing.T) {
	w := newWorld(t)
	a, b := w.socket(""), w.socket("")
	first := a.Ask(`{"id":1,"op":"lock","lock":"l","ttl":"1h","owner":"a"}`)
	if first["ok"] != true || first["token"] == nil {
		t.Fatalf("got %v", first)
	}
	b.Refused("lock_held", 1, `{"id":1,"op":"lock","lock":"l","ttl":"1h"}`)
	b.Say(`{"id":2,"op":"lock","lock":"l","ttl":"1h","wait":"5m","owner":"b"}`)
	w.waiters(1)
	if f := b.Ask(`{"id":3,"op":"ping"}`); f["id"] != float64(3) {
		t.Errorf("got %v while a lock is waited for", f)
	}
	token := first["token"].(float64)
	if f := a.Ask(`{"id":2,"op":"put","key":"k","value":"1","fence":{"l":%.0f}}`, token); f["ok"] != true {
		t.Errorf("got %v under the fence", f)
	}
	if f := a.Ask(`{"id":3,"op":"keepalive","lock":"l","token":%.0f}`, token); f["token"] != token {
		t.Errorf("got %v", f)
	}
	if f := a.Ask(`{"id":4,"op":"unlock","lock":"l","token":%.0f}`, token); f["ok"] != true {
		t.Errorf("got %v", f)
	}
	second := b.Next()
	if second["id"] != float64(2) || second["ok"] != true || second["token"].(float64) <= token {
		t.Fatalf("got %v, want the lock and a larger token than %v", second, token)
	}
	a.Refused("fence_lost", 5, `{"id":5,"op":"put","key":"k","value":"2","fence":{"l":%.0f}}`, token)
	a.Refused("lock_lost", 6, `{"id":6,"op":"unlock","lock":"l","token":%.0f}`, token)
	a.Refused("bad_json", 7, `{"id":7,"op":"unlock","lock":"l"}`)
	a.Refused("bad_key", 0, `{"op":"unlock","lock":"no/lock","force":true,"id":8}`)
	if f := a.Ask(`{"id":9,"op":"unlock","lock":"l","force":true}`); f["ok"] != true {
		t.Errorf("got %v", f)
	}
	a.Refused("lock_not_held", 10, `{"id":10,"op":"unlock","lock":"l","force":true}`)
}

// If a socket that closes kept its places, or a lock that it was granted too
// late, others would wait in vain.
func TestSocketLosesItsPlaces(t *testing.T) {
	w := newWorld(t)
	holder := w.socket("").Ask(`{"id":1,"op":"lock","lock":"l","ttl":"1h"}`)
	for range 5 {
		c := w.socket("")
		for i := range 10 {
			c.Say(`{"id":%d,"op":"lock","lock":"l","ttl":"1h","wait":"5m"}`, i+1)
		}
		w.eventually("ten wait", func() bool { return w.state.Stats().LockWaiters == 10 })
		c.Conn.CloseNow()
		w.waiters(0)
	}
	w.eventually("no command waits", func() bool { return w.metric("keywatch_socket_lock_waits") == 0 })
	c := w.socket("")
	c.Say(`{"id":1,"op":"lock","lock":"l","ttl":"1h","wait":"5m"}`)
	w.waiters(1)
	w.socket("").Ask(`{"id":1,"op":"unlock","lock":"l","token":%.0f}`, holder["token"])
	if f := c.Next(); f["ok"] != true {
		t.Errorf("got %v, want the lock at last", f)
	}
}

// If this failed, a socket on which one command waits for a lock would be charged for all
// locks that it was granted meanwhile, and not be read from after a thousand.
func TestGrantedLocksAreNotCharged(t *testing.T) {
	b := ratelimit.NewBudget(4*mib, 4*mib)
	w := newServer(t, b).listen()
	w.hold("l")
	c := w.socket("")
	c.Say(`{"id":1,"op":"lock","lock":"l","ttl":"1h","wait":"5m"}`)
	w.waiters(1)
	for i := range 20 {
		if f := c.Ask(`{"id":%d,"op":"lock","lock":"m%d","ttl":"1h"}`, i+2, i); f["ok"] != true {
			t.Fatalf("lock %d: got %v", i, f)
		}
	}
	w.eventually("only the command that waits is charged", func() bool {
		used := b.Stats().Used
		return used[ratelimit.Requests] == 0 && used[ratelimit.Waits] > 0 && used[ratelimit.Waits] < 16<<10
	})
}

// Without it a server could not stop while a command waits for a lock.
func TestSocketLockWaitEndsAtShutdown(t *testing.T) {
	w := newWorld(t)
	w.hold("l")
	c := w.socket("")
	c.Say(`{"id":1,"op":"lock","lock":"l","ttl":"1h","wait":"5m"}`)
	w.waiters(1)
	stopped := make(chan error)
	go func() { stopped <- w.server.Close(t.Context()) }()
	if f := c.Next(); f["error"].(map[string]any)["code"] != "stopping" {
		t.Errorf("got %v, want stopping", f)
	}
	c.WantClose(1012)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if n := w.state.Stats().LockWaiters; n != 0 {
		t.Errorf("%d places are left", n)
	}
}

// hold has a client without a socket hold a lock.
func (w *world) hold(name string) {
	w.t.Helper()
	c := &kv.Command{Lock: &kv.LockCommand{Kind: kv.LockAcquire, Name: name, ID: kv.NewLeaseID(), TTL: time.Hour, Caller: "me"}}
	if _, err := w.log.Propose(context.Background(), c); err != nil {
		w.t.Fatal(err)
	}
}
