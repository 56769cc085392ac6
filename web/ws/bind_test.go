package ws_test

import "testing"

// If this failed, a lease that is bound to a socket would end while the socket is
// open, or at once when it closes, or could not be bound again.
func TestSocketBindsLeases(t *testing.T) {
	w := newWorld(t)
	c := w.socket("")
	id, _ := c.Ask(`{"id":1,"op":"lease","ttl":"1h"}`)["lease"].(string)
	if f := c.Ask(`{"id":2,"op":"bind","lease":%q}`, id); f["ok"] != true || f["lease"] != id || f["ttl_ms"] != 3.6e6 {
		t.Fatalf("got %v", f)
	}
	if n := w.metric("keywatch_socket_leases"); n != 1 {
		t.Errorf("%v leases are bound, want 1", n)
	}
	w.advance(30 * 60 * 1000)
	if left := w.remaining(id); left > 1.81e6 {
		t.Fatalf("%v ms are left before the socket closes", left)
	}
	c.Conn.CloseNow()
	w.eventually("the lease has all of its TTL again", func() bool { return w.remaining(id) > 3.59e6 })
	w.eventually("nothing is bound", func() bool { return w.metric("keywatch_socket_leases") == 0 })

	again := w.socket("")
	if f := again.Ask(`{"id":1,"op":"bind","lease":%q}`, id); f["ok"] != true {
		t.Fatalf("got %v", f)
	}
	if f := again.Ask(`{"id":2,"op":"unbind","lease":%q}`, id); f["ok"] != true || f["lease"] != id {
		t.Errorf("got %v", f)
	}
	w.eventually("nothing is bound", func() bool { return w.metric("keywatch_socket_leases") == 0 })
	short, _ := again.Ask(`{"id":3,"op":"lease","ttl":"1s"}`)["lease"].(string)
	if f := again.Ask(`{"id":4,"op":"bind","lease":%q}`, short); f["ok"] != true {
		t.Fatalf("got %v", f)
	}
	before := w.metric("keywatch_socket_lease_renewals_total")
	w.eventually("it was renewed three times", func() bool {
		return w.metric("keywatch_socket_lease_renewals_total") >= before+3
	})
	if w.remaining(short) == 0 {
		t.Error("a lease that is bound has ended")
	}
	again.Say(`{"id":5,"op":"lease","ttl":"999ms"}`)
	tiny, _ := again.Next()["lease"].(string)
	again.Refused("bad_duration", 6, `{"id":6,"op":"bind","lease":%q}`, tiny)
	again.Refused("bad_json", 7, `{"id":7,"op":"bind"}`)
	again.Ask(`{"id":10,"op":"revoke","lease":%q}`, id)
	again.Refused("lease_not_found", 8, `{"id":8,"op":"bind","lease":%q}`, id)
	again.Refused("lease_not_found", 9, `{"id":9,"op":"unbind","lease":"nonsense"}`)
}

// If this failed, leases would have less than their TTL left when the server has
// said goodbye to the sockets that they live with.
func TestBoundLeasesAtShutdown(t *testing.T) {
	w := newWorld(t)
	c := w.socket("")
	id, _ := c.Ask(`{"id":1,"op":"lease","ttl":"1h"}`)["lease"].(string)
	c.Ask(`{"id":2,"op":"bind","lease":%q}`, id)
	w.advance(30 * 60 * 1000)
	stopped := make(chan error)
	go func() { stopped <- w.server.Close(t.Context()) }()
	c.WantClose(1012)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	leases := w.state.Stats().Leases
	if next, _ := w.state.NextDeadline(); leases != 1 || next-w.state.Time() < 3_590_000 {
		t.Errorf("%d leases, and %d ms to the end of the first; want one and its hour", leases, next-w.state.Time())
	}
}
