package e2e_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// TestProofPausedServerEndsNothing: a server process that does not run for longer than a TTL
// (SIGSTOP here; a frozen container or a machine that is moved is the same) ends no lease
// and no lock when it runs again whose socket is there, and no key before its TTL has
// passed in time that the server ran.
func TestProofPausedServerEndsNothing(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	const ttl, pause = 1500 * time.Millisecond, 4 * time.Second
	keep := keep(t, t.TempDir())
	cl := keep.client(t)
	p, err := openPipe(keep.url())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.conn.Close() })
	id := p.ask(t, fmt.Sprintf(`{"id":1,"op":"lease","ttl":"%v"}`, ttl))
	p.ask(t, fmt.Sprintf(`{"id":2,"op":"bind","lease":%q}`, id))
	p.ask(t, fmt.Sprintf(`{"id":3,"op":"put","key":"bound","value":"v","lease":%q}`, id))
	lock := p.ask(t, fmt.Sprintf(`{"id":4,"op":"lock","lock":"l","ttl":"%v"}`, ttl))
	p.ask(t, fmt.Sprintf(`{"id":5,"op":"bind","lease":%q}`, lock))
	cl.Must(t, load.Call{Method: "PUT", Path: "/v1/kv/mortal?ttl=10s", Body: "v"}, 201)

	process := keep.server().cmd.Process
	for range 3 {
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pause) // nothing can be waited for: nothing runs
		if err := process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		p.ask(t, `{"id":6,"op":"ping"}`)
		cl.Must(t, load.GetCall("bound"), 200)
		cl.Must(t, load.Call{Method: "GET", Path: "/v1/locks/l"}, 200)
	}
	cl.Must(t, load.GetCall("mortal"), 200)
}
