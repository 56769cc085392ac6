package e2e_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// ask sends one command and returns its answer, which must be a good one.
func (p *pipe) ask(t testing.TB, command string) (lease string) {
	t.Helper()
	err := p.each(1, func(int) string { return command }, func(_ int, text []byte) error {
		var got struct{ Lease string }
		err := json.Unmarshal(text, &got)
		lease = got.Lease
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return lease
}

// renewals returns how often the server has renewed leases of sockets.
func renewals(t testing.TB, cl *load.Client) int {
	t.Helper()
	const name = "\nkeywatch_socket_lease_renewals_total "
	_, rest, _ := strings.Cut(cl.Must(t, load.Call{Method: "GET", Path: "/metrics"}, 200).Body, name)
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		t.Fatalf("%s is %q", name, line)
	}
	return n
}

// TestLeaseLivesWithItsSocket: a lease that is bound to a socket outlives its TTL
// while the socket is open, survives a server that is killed, is resumed by
// its name on another socket, and ends its TTL after that has closed, not before.
func TestLeaseLivesWithItsSocket(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	keep := keep(t, t.TempDir())
	cl := keep.client(t)
	open := func() *pipe {
		t.Helper()
		p, err := openPipe(keep.url())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.conn.Close() })
		return p
	}
	first := open()
	id := first.ask(t, fmt.Sprintf(`{"id":1,"op":"lease","ttl":"%v"}`, ttl))
	first.ask(t, fmt.Sprintf(`{"id":2,"op":"bind","lease":%q}`, id))
	first.ask(t, fmt.Sprintf(`{"id":3,"op":"put","key":"k","value":"v","lease":%q}`, id))
	for over := gate.Context(t); renewals(t, cl) < 6; time.Sleep(10 * time.Millisecond) { // two TTLs
		if over.Err() != nil {
			t.Fatal("the server does not renew the lease")
		}
	}
	cl.Must(t, load.GetCall("k"), 200)

	keep.server().kill()
	keep.restart(t)
	second := open()
	second.ask(t, fmt.Sprintf(`{"id":1,"op":"bind","lease":%q}`, id))
	cl.Must(t, load.GetCall("k"), 200)
	var left struct {
		MS int64 `json:"remaining_ms"`
	}
	for over := gate.Context(t); left.MS == 0 || left.MS > ttl.Milliseconds()-300; time.Sleep(time.Millisecond) { // a renewal is due soon
		if err := cl.Must(t, load.Call{Method: "GET", Path: "/v1/leases/" + id}, 200).Decode(&left); err != nil || over.Err() != nil {
			t.Fatalf("%d ms are left, %v", left.MS, err)
		}
	}
	closed := time.Now()
	second.conn.Close()
	for over := gate.Context(t); cl.Must(t, load.GetCall("k"), 200, 404).Status == 200; time.Sleep(5 * time.Millisecond) {
		if over.Err() != nil {
			t.Fatal("the key is still there")
		}
	}
	if lived := time.Since(closed); lived < ttl {
		t.Errorf("the key went %v after its socket, want %v at least", lived, ttl)
	}
}
