package e2e_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// TestStopFinishesWork: a server that is asked to stop while clients write, watch
// and wait answers what is under way, says goodbye to streams, lets no client wait
// out the grace time, and ends with 0; every write that it acknowledged is there,
// and every one that it refused is not.
func TestStopFinishesWork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, "--data", dir, "--grace", "24h")
	cl := newClient(t, s)
	cl.Put(t, "waited", "1")
	stream, err := cl.Watch(gate.Context(t), "/v1/watch?key=waited", "")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, _, err := stream.Until("synced"); err != nil {
		t.Fatal(err)
	}
	idle := connect(t, s) // a connection that asks nothing
	var running sync.WaitGroup
	running.Go(func() { // and one whose answer is long in coming
		a, err := cl.Do(gate.Context(t), load.GetCall("waited?wait=60s").With("If-None-Match", cl.Put(t, "waited", "2").ETag()))
		if err == nil && a.Status != 503 && a.Status != 304 {
			t.Errorf("a wait ended with status %d: %s", a.Status, a.Body)
		}
	})
	acked, refused := make([]int, 4), make([]int, 4)
	for i := range 4 {
		running.Go(func() { acked[i], refused[i] = writeUntilStopped(t, newClient(t, s), i) })
	}
	lasts(t, 200*time.Millisecond)
	began := time.Now()
	s.stop(t)
	took := time.Since(began)
	running.Wait()
	checkBye(t, stream)
	if resp, err := http.ReadResponse(idle.Reader, nil); err == nil && resp.StatusCode != 503 && resp.StatusCode != 408 {
		t.Errorf("a connection that asked nothing was answered with %d", resp.StatusCode)
	}
	t.Logf("stopped in %v, with %v writes acknowledged and %v refused", took.Round(time.Millisecond), acked, refused)
	checkStopped(t, dir, acked)
}

func checkBye(t *testing.T, s *load.Stream) {
	t.Helper()
	_, bye, err := s.Until("bye")
	if err != nil || bye.Code != "stopping" || s.Retry == "" {
		t.Errorf("the stream ended with %+v, retry %q (%v), want a bye because of stopping", bye, s.Retry, err)
	}
}

// checkStopped starts the server again and checks that it holds exactly the
// writes acknowledged and had no log to replay.
func checkStopped(t *testing.T, dir string, acked []int) {
	t.Helper()
	s := serve(t, "--data", dir)
	cl := newClient(t, s)
	for i, n := range acked {
		got := cl.Must(t, load.GetCall(fmt.Sprintf("stop/%d", i)), 200, 404)
		if n == 0 && got.Status == 404 {
			continue
		}
		if got.Status != 200 || got.Body != fmt.Sprint(n) || got.Version() != n {
			t.Errorf("stop/%d is %s at version %d, want %d", i, got.Body, got.Version(), n)
		}
	}
	var status struct {
		Detail struct {
			Checkpoint struct {
				Rev uint64 `json:"rev"`
			} `json:"checkpoint"`
		} `json:"detail"`
	}
	a := cl.Must(t, load.Call{Method: "GET", Path: "/v1/status"}, 200)
	_, at := cl.List(t, "stop/")
	p, err := load.ParsePosition(at)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Decode(&status); err != nil || status.Detail.Checkpoint.Rev != p.Rev {
		t.Errorf("the checkpoint is at revision %d and the store at %d: the stop left log to replay (%v)",
			status.Detail.Checkpoint.Rev, p.Rev, err)
	}
	t.Logf("ready again after %v", s.ready.Sub(s.began).Round(time.Millisecond))
}

// writeUntilStopped writes 1, 2, 3 and so on until the server refuses or is gone.
// It returns the last write acknowledged and the first refused, if any.
func writeUntilStopped(t *testing.T, cl *load.Client, name int) (acked, refused int) {
	for n := 1; ; n++ {
		a, err := cl.Do(gate.Context(t), load.PutCall(fmt.Sprintf("stop/%d", name), fmt.Sprint(n)))
		switch {
		case err != nil:
			// The server does not listen any more, or has closed the connection
			// as idle at that moment: then it has not read the request, or the
			// store would hold a write too many.
			return acked, refused
		case a.Status == 503 && a.Problem().Code == "stopping":
			return acked, n
		case a.Status == 200 || a.Status == 201:
			acked = n
		default:
			t.Errorf("write %d: status %d: %s", n, a.Status, a.Body)
			return acked, refused
		}
	}
}

// connect opens a connection to s.
func connect(t *testing.T, s *server) *bufio.ReadWriter {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if end, limited := gate.Context(t).Deadline(); limited {
		if err := conn.SetDeadline(end); err != nil {
			t.Fatal(err)
		}
	}
	return bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn))
}

// TestStopWithHalfARequest: a request that is half sent when the server is asked
// to stop is either carried out and answered, or refused and not carried out.
func TestStopWithHalfARequest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, "--data", dir, "--grace", "5s")
	cl := newClient(t, s)
	stream, err := cl.Watch(gate.Context(t), "/v1/watch?key=a", "")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	conn := connect(t, s)
	fmt.Fprintf(conn, "PUT /v1/kv/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx")
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	cl.Must(t, load.GetCall("half"), 404) // by now the server reads the other one, or will
	s.signal(t)
	checkBye(t, stream) // the server is stopping
	fmt.Fprint(conn, "y")
	flushed := conn.Flush()
	status := 0
	if resp, err := http.ReadResponse(conn.Reader, nil); err == nil {
		status = resp.StatusCode
	}
	s.awaitStop(t)
	want := 404
	if status == 201 {
		want = 200
	} else if status != 503 && status != 0 {
		t.Errorf("half a request: status %d, want 201, 503 or none", status)
	}
	newClient(t, serve(t, "--data", dir)).Must(t, load.GetCall("half"), want)
	t.Logf("the other half was answered with %d (%v)", status, flushed)
}

// TestSecondSignal: a second signal ends a server at once, and what it had
// acknowledged is safe all the same.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, "--data", dir, "--grace", "60s")
	cl := newClient(t, s)
	cl.Put(t, "a", "1")
	// Half a request holds the server up for as long as it has grace.
	conn := connect(t, s)
	fmt.Fprintf(conn, "PUT /v1/kv/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx")
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	s.signal(t)
	ctx := gate.Context(t)
	for running(s) && ctx.Err() == nil {
		s.signal(t)
		load.Pause(ctx)
	}
	if running(s) {
		t.Fatal("the server goes on after further signals")
	}
	newClient(t, serve(t, "--data", dir)).Must(t, load.GetCall("a"), 200)
}

func running(s *server) bool {
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}
