package web_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/watch"
	"keywatch/web"
	"keywatch/web/tlsconn"
)

const epoch = kv.Epoch(0x7f3a9c21)

// A directLog applies each command at once, as a log of one node would after
// its fsync. fail, if set, is asked before each.
type directLog struct {
	mu    sync.Mutex
	state *kv.State
	index uint64
	fail  func(ctx context.Context, c *kv.Command) error
	// barrier, if set, takes the place of an immediate answer.
	barrier func(ctx context.Context) error
	start   time.Time
	// stands, if not 0, is the time, which stands still: see tick.
	stands atomic.Int64
	// last is closed when the newest write that fail was asked about is applied.
	last chan struct{}
	// life ends with the test.
	life context.Context
}

func (l *directLog) Now() int64 {
	if at := l.stands.Load(); at != 0 {
		return at
	}
	return time.Since(l.start).Milliseconds()
}

func (l *directLog) ReadBarrier(ctx context.Context) error {
	if l.barrier != nil {
		return l.barrier(ctx)
	}
	return nil
}

func (l *directLog) Propose(ctx context.Context, c *kv.Command) (kv.Result, error) {
	if l.fail != nil {
		if err := l.fail(ctx, c); err != nil {
			return kv.Result{}, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.apply(kv.EncodeEntry(l.Now(), c))
}

func (l *directLog) ReadBarrierNow() error {
	if l.barrier != nil {
		return kv.ErrWouldWait
	}
	return nil
}

// BeginReadBarrier implements kv.BarrierBeginner.
func (l *directLog) BeginReadBarrier(w kv.Waker) *kv.Barrier {
	b := kv.NewBarrier(w)
	go func() { b.Finish(l.ReadBarrier(l.life)) }()
	return b
}

// Begin implements kv.Beginner.
func (l *directLog) Begin(c *kv.Command) (kv.Pending, error) {
	p := &directWrite{done: make(chan struct{})}
	entry := kv.EncodeEntry(l.Now(), c)
	run := func() {
		defer close(p.done)
		if l.fail != nil {
			if p.err = l.fail(l.life, c); p.err != nil {
				return
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		p.result, p.err = l.apply(entry)
	}
	if l.fail == nil || c.Private != nil { // those of users and credentials overtake others
		run()
		return p, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.last
	l.last = p.done
	go func() {
		if before != nil {
			<-before
		}
		run()
	}()
	return p, nil
}

// A directWrite is a command that a directLog was given.
type directWrite struct {
	done   chan struct{}
	result kv.Result
	err    error
}

func (p *directWrite) Done() <-chan struct{}      { return p.done }
func (p *directWrite) Result() (kv.Result, error) { return p.result, p.err }

func (p *directWrite) Notify(w kv.Waker) {
	select {
	case <-p.done:
		w.Wake()
	default:
		go func() { <-p.done; w.Wake() }()
	}
}

// apply applies an entry; the caller holds mu, or is alone.
func (l *directLog) apply(entry []byte) (kv.Result, error) {
	l.index++
	results, err := l.state.Apply(l.index, 1, entry)
	if err != nil {
		return kv.Result{}, err
	}
	return results[0], nil
}

// A world is a server with everything behind it, on a port of its own.
type world struct {
	t      testing.TB
	log    *directLog
	state  *kv.State
	hub    *watch.Hub
	server *web.Server
	// addr is the server's address, base what its URLs begin with.
	addr, base string
	client     *http.Client
	// tls, if not nil, is what clients speak TLS by.
	tls *tls.Config
}

// everywhere has all servers of these tests speak TLS, but those that test clear text itself.
var everywhere = flag.Bool("tls", false, "have the servers of all tests speak TLS")

// secure has a server speak TLS.
func secure(o *web.Options) { o.TLS = new(tls.Config) }

// inClear has a server speak clear text, even where all others speak TLS.
func inClear(o *web.Options) { o.TLS = nil }

// connect opens a connection to the server.
func (w *world) connect() (net.Conn, error) {
	conn, err := net.Dial("tcp", w.addr)
	if err != nil || w.tls == nil {
		return conn, err
	}
	return tls.Client(conn, w.tls), nil
}

// wsBase returns what the URLs of WebSockets begin with.
func (w *world) wsBase() string { return "ws" + strings.TrimPrefix(w.base, "http") }

// tcpOf returns the connection under TLS, or conn itself.
func tcpOf(conn net.Conn) *net.TCPConn { return tlsconn.Under(conn).(*net.TCPConn) }

// newStore returns a state, the log that feeds it and the hub that it tells.
func newStore(t testing.TB, params kv.Params) (*directLog, *watch.Hub) {
	hub := watch.New(watch.Options{})
	t.Cleanup(hub.Close)
	state := kv.NewState(kv.StateOptions{Publisher: hub})
	hub.Bind(state)
	log := &directLog{state: state, start: time.Now(), life: t.Context()}
	var b kv.EntryBuilder
	b.Reset(nil)
	b.AddSetup(kv.Setup{Epoch: epoch, Params: params})
	if _, err := log.apply(b.Finish(0)); err != nil {
		t.Fatal(err)
	}
	return log, hub
}

func newWorld(t testing.TB, change ...func(*web.Options)) *world {
	return newWorldWith(t, kv.Params{}, kv.Limits{}, change...)
}

func newWorldWith(t testing.TB, params kv.Params, limits kv.Limits, change ...func(*web.Options)) *world {
	t.Helper()
	log, hub := newStore(t, params)
	opts := web.Options{
		Store: kv.NewStore(log.state, log, limits), Hub: hub, Durability: web.DurabilityMemory,
		Listen: []string{"127.0.0.1:0"},
	}
	if *everywhere {
		secure(&opts)
	}
	for _, c := range change {
		c(&opts)
	}
	var clients *tls.Config
	if opts.TLS != nil && opts.TLS.Certificates == nil {
		config, client := gate.TLS(t)
		opts.TLS.Certificates, clients = config.Certificates, client
	}
	server, err := web.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	w := &world{
		t: t, log: log, state: log.state, hub: hub, server: server, addr: ln.Addr().String(), base: "http://" + ln.Addr().String(),
		client: &http.Client{Transport: &http.Transport{DisableCompression: true, TLSClientConfig: clients}}, tls: clients,
	}
	if clients != nil {
		w.base = "https://" + w.addr
	}
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		if err := server.Shutdown(gate.Context(t)); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-done; !errors.Is(err, web.ErrServerClosed) {
			t.Errorf("Serve: %v, want ErrServerClosed", err)
		}
	})
	return w
}

// A reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// field returns a member of the JSON body, nil if there is none.
func (r reply) field(name string) any {
	var doc map[string]any
	_ = json.Unmarshal([]byte(r.body), &doc)
	return doc[name]
}

// code returns the code of a problem.
func (r reply) code() string {
	code, _ := r.field("code").(string)
	return code
}

// do sends a request; headers are name and value in turn.
func (w *world) do(method, path, body string, headers ...string) reply {
	w.t.Helper()
	req, err := http.NewRequest(method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: w.line(method, path, resp, string(b))}
}

// line returns a body; one in JSON must be a line, so that the prompt after curl
// is on a line of its own, and comes without its end.
func (w *world) line(method, path string, resp *http.Response, body string) string {
	w.t.Helper()
	kind := resp.Header.Get("Content-Type")
	if body == "" || kind != "application/json" && kind != "application/problem+json" {
		return body
	}
	text, whole := strings.CutSuffix(body, "\n")
	if !whole {
		w.t.Errorf("%s %.200s: %q does not end with a newline", method, path, body)
	}
	return text
}

// want sends a request and checks the status.
func (w *world) want(status int, method, path, body string, headers ...string) reply {
	w.t.Helper()
	r := w.do(method, path, body, headers...)
	if r.status != status {
		w.t.Fatalf("%s %s: got %d %s, want %d", method, path, r.status, r.body, status)
	}
	return r
}

// refused sends a request that must be answered with a problem of this status
// and code, and must change nothing.
func (w *world) refused(status int, code, method, path, body string, headers ...string) reply {
	w.t.Helper()
	before := w.state.Position()
	r := w.do(method, path, body, headers...)
	if r.status != status || r.code() != code {
		w.t.Errorf("%s %.200s: got %d %s, want %d %s", method, path, r.status, r.body, status, code)
	}
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		w.t.Errorf("%s %.200s: Content-Type is %q", method, path, got)
	}
	if after := w.state.Position(); after != before {
		w.t.Errorf("%s %.200s: position went from %v to %v", method, path, before, after)
	}
	return r
}

// raw sends bytes on a connection of its own and returns all that is answered.
func (w *world) raw(request string) string {
	w.t.Helper()
	conn, err := w.connect()
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	gate.Bound(w.t, conn)
	if _, err := io.WriteString(conn, request); err != nil {
		w.t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, conn); err != nil {
		w.t.Fatalf("read: %v after %q", err, b.String())
	}
	return b.String()
}

// rawInTime is raw where the server closes a connection whose first byte is late: a client that is late
// itself tries again.
func (w *world) rawInTime(request string) (answer string) {
	w.t.Helper()
	w.eventually("a client is in time", func() bool { answer = w.raw(request); return answer != "" })
	return answer
}

func params() kv.Params { return kv.Params{} }

func storeOf(log *directLog) *kv.Store { return kv.NewStore(log.state, log, kv.Limits{}) }

// eventually waits for something that another goroutine is about to do.
func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	gate.Until(w.t, done, "never: %s", what)
}
