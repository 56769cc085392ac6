package ws_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/ratelimit"
	"keywatch/test/gate"
	"keywatch/watch"
	"keywatch/web/api"
	"keywatch/web/reactor"
	"keywatch/web/ws"
	"keywatch/web/ws/wstest"
)

const epoch = kv.Epoch(0x7f3a9c21)

// A world is a server with everything behind it, and in front of it the least
// that can shake hands.
type world struct {
	t        testing.TB
	log      *kvtest.Direct
	state    *kv.State
	store    *kv.Store
	hub      *watch.Hub
	reactor  *reactor.Reactor
	server   *ws.Server
	registry *prometheus.Registry
	addr     string
	// others are the servers that a bye names.
	others []string
	// table knows the callers, of whom who is the one that shakes hands; nil without authentication.
	table *auth.Table
	who   *auth.Caller
}

// newWorld returns a world on a port of its own. logged, if not nil, returns the log
// that commands go to instead of the one given.
func newWorld(t testing.TB, logged ...func(*kvtest.Direct) kv.Log) *world {
	t.Helper()
	return newServer(t, nil, logged...).listen()
}

// listen gives the world a port.
func (w *world) listen() *world {
	t := w.t
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go w.shake(conn)
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-served
		w.close()
	})
	return w
}

// newServer returns a world without a port, whose sockets are charged to b.
func newServer(t testing.TB, b *ratelimit.Budget, logged ...func(*kvtest.Direct) kv.Log) *world {
	t.Helper()
	return newServerFor(t, nil, b, logged...)
}

// newServerFor is newServer with authentication by table, if that is not nil.
func newServerFor(t testing.TB, table *auth.Table, b *ratelimit.Budget, logged ...func(*kvtest.Direct) kv.Log) *world {
	t.Helper()
	w := &world{
		t: t, table: table, registry: prometheus.NewRegistry(),
		reactor: reactor.New(reactor.Options{Short: b.Short, WriteTimeout: time.Minute}),
	}
	w.hub = watch.New(watch.Options{Others: func() []string { return slices.Clone(w.others) }})
	w.state = kv.NewState(kv.StateOptions{Publisher: w.hub})
	w.hub.Bind(w.state)
	var err error
	if w.log, err = kvtest.NewDirect(w.state, epoch, kv.Params{}); err != nil {
		t.Fatal(err)
	}
	var log kv.Log = w.log
	for _, f := range logged {
		log = f(w.log)
	}
	w.store = kv.NewStore(w.state, log, kv.Limits{})
	w.server, err = ws.New(ws.Options{
		Door: auth.NewDoor(w.store, w.hub, table), Reactor: w.reactor, Deadlines: api.NewDeadlines(context.Background(), 10*time.Second),
		MaxBody: 2 << 20, Durability: func() []byte { return []byte("memory; copies=1/1") }, Budget: b,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.registry.MustRegister(w.server)
	return w
}

func (w *world) close() {
	if err := w.server.Close(context.Background()); err != nil {
		w.t.Errorf("Close: %v", err)
	}
	w.reactor.Close()
	w.hub.Close()
}

// shake shakes hands with who has connected, and gives the connection away.
func (w *world) shake(conn net.Conn) {
	in := bufio.NewReader(conn)
	req, err := http.ReadRequest(in)
	if err != nil {
		_ = conn.Close()
		return
	}
	h, err := w.begin(req)
	if err != nil {
		fmt.Fprintf(conn, "HTTP/1.1 %d no\r\n\r\n", api.CodeOf(err).Status())
		_ = conn.Close()
		return
	}
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	if name := req.Header.Get("Sec-WebSocket-Protocol"); name != "" {
		head += "Sec-WebSocket-Protocol: " + name + "\r\n"
	}
	fmt.Fprintf(conn, "%sSec-WebSocket-Accept: %s\r\n\r\n", head, base64.StdEncoding.EncodeToString(sum[:]))
	early, _ := in.Peek(in.Buffered())
	_ = h.Adopt(conn, early) // or the client sees that the connection is closed
}

// begin opens what a request asks for.
func (w *world) begin(req *http.Request) (ws.Handshake, error) {
	query := req.URL.Query()
	h, err := w.server.Begin(ws.Caller{Who: w.who}, req.Header.Get("Sec-WebSocket-Protocol") == ws.SubprotocolLines)
	if err != nil || len(query) == 0 {
		return h, err
	}
	r := watch.Request{Keys: query["key"], Prefixes: query["prefix"]}
	if query.Get("state") == "0" {
		r.From = watch.FromLive
	}
	if err := h.Watch(r); err != nil {
		h.Abandon()
		return h, err
	}
	return h, nil
}

// bubble serves one connection without a network, inside a synctest bubble.
func bubble(t *testing.T, test func(t *testing.T, w *world, conn net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		bubbleIn(t, newServer(t, nil), test)
	})
}

// bubbleIn serves one connection of w.
func bubbleIn(t *testing.T, w *world, test func(t *testing.T, w *world, conn net.Conn)) {
	client, conn := net.Pipe()
	go w.shake(conn)
	test(t, w, client)
	_ = client.Close()
	synctest.Wait()
	if got := w.hub.Stats().Watchers; got != 0 {
		t.Errorf("got %d watchers at the end, want 0", got)
	}
	w.close()
}

// write puts a key.
func (w *world) write(key, value string) {
	w.t.Helper()
	c := &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: []byte(value)}}}
	if _, err := w.log.Propose(context.Background(), c); err != nil {
		w.t.Fatal(err)
	}
}

// advance moves log time.
func (w *world) advance(ms int64) {
	w.t.Helper()
	if err := w.log.Advance(ms); err != nil {
		w.t.Fatal(err)
	}
}

// remaining returns how many milliseconds a lease has left, 0 if there is none.
func (w *world) remaining(id string) int64 {
	w.t.Helper()
	lease, err := kv.ParseLeaseID(id)
	if err != nil {
		w.t.Fatal(err)
	}
	info, _, err := w.store.Lease(w.t.Context(), lease)
	if err != nil {
		w.t.Fatal(err)
	}
	return info.Remaining(w.store.Now())
}

// socket opens a WebSocket; query begins with a question mark, or is empty.
func (w *world) socket(query string) *wstest.Client {
	w.t.Helper()
	return w.socketAs(ws.Subprotocol, query)
}

func (w *world) socketAs(subprotocol, query string) *wstest.Client {
	w.t.Helper()
	c, resp, err := wstest.Dial(w.t, "ws://"+w.addr+"/"+query, subprotocol)
	if err != nil {
		w.t.Fatalf("dial: %v, %v", err, resp)
	}
	return c
}

// rawSocket opens a WebSocket on a connection of its own, and sends early with
// the handshake.
func (w *world) rawSocket(query, early string) *wstest.Raw {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	gate.Bound(w.t, conn)
	return wstest.Upgrade(w.t, conn, query, early)
}

// waiters waits until n commands wait for locks.
func (w *world) waiters(n int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d wait", n), func() bool { return w.state.Stats().LockWaiters == n })
}

// metric returns a metric without labels.
func (w *world) metric(name string) float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if m := f.GetMetric(); f.GetName() == name && len(m) == 1 {
			return m[0].GetGauge().GetValue() + m[0].GetCounter().GetValue()
		}
	}
	w.t.Fatalf("there is no metric %s", name)
	return 0
}

// eventually waits for something that another goroutine is about to do.
func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	gate.Until(w.t, done, "never: %s", what)
}
