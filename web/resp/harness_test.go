package resp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/watch"
	"keywatch/web/api"
	"keywatch/web/reactor"
	"keywatch/web/resp"
)

const epoch = kv.Epoch(0x7f3a9c21)

// patience is how long a reply is waited for: longer than a machine that is busy takes.
const patience = 2 * time.Minute

// A slowLog orders commands as they are begun and applies them in batches, on a goroutine of its
// own: a result is not there when Begin returns.
type slowLog struct {
	state *kv.State
	start time.Time
	mu    sync.Mutex
	index uint64
	queue []*slowPending
	wake  chan struct{}
	stop  chan struct{}
	ended sync.WaitGroup
	// barrier, if set, is what reads wait for. life ends with the test.
	barrier func(ctx context.Context) error
	life    context.Context
	// level, if not 0, is the one that all members know.
	level int
	// stands, if not 0, is the time.
	stands atomic.Int64
	// holding is held while nothing is applied.
	holding sync.Mutex
	// refuse, if set, is what the next commands are refused with.
	refuse atomic.Pointer[refusal]
}

// A refusal is of the next times commands, or of all if that is 0.
type refusal struct {
	err   error
	times int32
	seen  atomic.Int32
}

type slowPending struct {
	entry  []byte
	done   chan struct{}
	result kv.Result
	err    error
}

func (p *slowPending) Done() <-chan struct{}      { return p.done }
func (p *slowPending) Result() (kv.Result, error) { return p.result, p.err }
func (p *slowPending) Notify(w kv.Waker) {
	go func() { <-p.done; w.Wake() }()
}

func newSlowLog(t testing.TB, state *kv.State) *slowLog {
	l := &slowLog{life: t.Context(), state: state, start: time.Now(), wake: make(chan struct{}, 1), stop: make(chan struct{})}
	var b kv.EntryBuilder
	b.AddSetup(kv.Setup{Epoch: epoch})
	l.index = 1
	if _, err := state.Apply(1, 1, b.Finish(0)); err != nil {
		t.Fatal(err)
	}
	l.ended.Go(l.run)
	t.Cleanup(func() { close(l.stop); l.ended.Wait() })
	return l
}

func (l *slowLog) run() {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C: // time passes
		case <-l.wake:
		}
		l.holding.Lock()
		l.mu.Lock()
		queue := l.queue
		l.queue = nil
		l.mu.Unlock()
		for _, p := range queue {
			l.index++
			var results []kv.Result
			if results, p.err = l.state.Apply(l.index, 1, p.entry); p.err == nil {
				p.result = results[0]
			}
			close(p.done)
		}
		if len(queue) == 0 {
			l.index++
			_, _ = l.state.Apply(l.index, 1, new(kv.EntryBuilder).Finish(l.Now()))
		}
		l.holding.Unlock()
	}
}

func (l *slowLog) Now() int64 {
	if at := l.stands.Load(); at != 0 {
		return at
	}
	return time.Since(l.start).Milliseconds()
}

func (l *slowLog) ReadBarrier(ctx context.Context) error {
	if l.barrier != nil {
		return l.barrier(ctx)
	}
	return nil
}

func (l *slowLog) ReadBarrierNow() error {
	if l.barrier != nil {
		return kv.ErrWouldWait
	}
	return nil
}

// BeginReadBarrier implements kv.BarrierBeginner.
func (l *slowLog) BeginReadBarrier(w kv.Waker) *kv.Barrier {
	b := kv.NewBarrier(w)
	go func() { b.Finish(l.barrier(l.life)) }()
	return b
}

func (l *slowLog) Begin(c *kv.Command) (kv.Pending, error) {
	if r := l.refuse.Load(); r != nil {
		if n := r.seen.Add(1); r.times == 0 || n <= r.times {
			return nil, r.err
		}
	}
	if l.level != 0 && c.Level() > l.level {
		return nil, fmt.Errorf("%w: it needs level %d", kv.ErrLevel, c.Level())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &slowPending{entry: append([]byte{}, kv.EncodeEntry(l.Now(), c)...), done: make(chan struct{})}
	l.queue = append(l.queue, p)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return p, nil
}

func (l *slowLog) Propose(ctx context.Context, c *kv.Command) (kv.Result, error) {
	p, err := l.Begin(c)
	if err != nil {
		return kv.Result{}, err
	}
	select {
	case <-p.Done():
		return p.Result()
	case <-ctx.Done():
		return kv.Result{}, kv.ErrOutcomeUnknown
	}
}

// A world is a server with everything behind it, on a port of its own.
type world struct {
	t      testing.TB
	log    *slowLog
	store  *kv.Store
	hub    *watch.Hub
	server *resp.Server
	addr   string
	// tls, if not nil, is what clients speak TLS by.
	tls *tls.Config
}

// everywhere has all servers of these tests speak TLS, but those that test clear text itself.
var everywhere = flag.Bool("tls", false, "have the servers of all tests speak TLS")

// inClear has a server speak clear text, even where all others speak TLS.
func inClear(o *resp.Options) { o.TLS = nil }

// secure has a server speak TLS.
func secure(o *resp.Options) { o.TLS = new(tls.Config) }

func newWorld(t testing.TB, change ...func(*resp.Options)) *world {
	t.Helper()
	return newWorldOf(t, kv.StateOptions{Presize: 1024}, change...)
}

// newWorldOf returns a world with a state of its own.
func newWorldOf(t testing.TB, of kv.StateOptions, change ...func(*resp.Options)) *world {
	t.Helper()
	hub := watch.New(watch.Options{})
	t.Cleanup(hub.Close)
	of.Publisher = hub
	state := kv.NewState(of)
	hub.Bind(state)
	log := newSlowLog(t, state)
	w := &world{t: t, hub: hub, log: log, store: kv.NewStore(state, log, kv.Limits{})}
	r := reactor.New(reactor.Options{})
	life, kill := context.WithCancel(context.Background())
	deadlines := api.NewDeadlines(life, 10*time.Second)
	opts := resp.Options{Door: auth.NewDoor(w.store, hub, nil), Reactor: r, Deadlines: deadlines, Version: "test"}
	if *everywhere {
		secure(&opts)
	}
	for _, c := range change {
		c(&opts)
	}
	if opts.TLS != nil {
		config, client := gate.TLS(t)
		opts.TLS.Certificates, w.tls = config.Certificates, client
	}
	var err error
	if w.server, err = resp.New(opts); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(ln) }()
	t.Cleanup(func() {
		if err := w.server.Close(gate.Context(t)); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		r.Close()
		kill()
		deadlines.Close()
	})
	return w
}

// A client speaks RESP.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func (w *world) dial() *client {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.clientOf(conn, w.tls)
}

// clientOf returns a client on a connection, over TLS unless config is nil.
func (w *world) clientOf(conn net.Conn, config *tls.Config) *client {
	if config != nil {
		conn = tls.Client(conn, config)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return &client{t: w.t, conn: conn, r: bufio.NewReader(conn)}
}

// encode writes words as a command.
func encode(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// say sends words, which stand apart by blanks, and returns the reply.
func (c *client) say(line string) string {
	c.t.Helper()
	return c.words(strings.Fields(line)...)
}

func (c *client) words(args ...string) string {
	c.t.Helper()
	c.send(encode(args...))
	return c.reply()
}

// want says line and compares the reply.
func (c *client) want(line, want string) {
	c.t.Helper()
	if got := c.say(line); got != want {
		c.t.Errorf("%s: got %s, want %s", line, got, want)
	}
}

// reply reads a reply and writes it as people read it: texts as they are, bytes in quotes,
// nothing as nil, lists in brackets, maps in braces, messages behind >.
func (c *client) reply() string {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	s, err := c.read()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return s
}

var errCut = errors.New("malformed")

func (c *client) read() (string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if !strings.HasSuffix(line, "\r\n") {
		return "", errCut
	}
	rest := line[1 : len(line)-2]
	n, _ := strconv.Atoi(rest)
	switch line[0] {
	case '+', '-':
		return line[:1] + rest, nil
	case ':':
		return rest, nil
	case '_':
		return "nil", nil
	case '$', '=':
		if n < 0 {
			return "nil", nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(c.r, b)
		return strconv.Quote(string(b[:n])), err
	case '*', '>', '~', '%':
		return c.list(line[0], n)
	}
	return "", errCut
}

func (c *client) list(kind byte, n int) (string, error) {
	if n < 0 {
		return "nil", nil
	}
	open, end := "[", "]"
	switch kind {
	case '>':
		open = ">["
	case '%':
		open, end, n = "{", "}", 2*n
	case '~':
		open = "~["
	}
	var all []string
	for range n {
		s, err := c.read()
		if err != nil {
			return "", err
		}
		all = append(all, s)
	}
	return open + strings.Join(all, " ") + end, nil
}

// closed reports whether the server closes the connection without another byte.
func (c *client) closed() error {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c.r)
	if len(b) > 0 {
		return fmt.Errorf("it has sent %q", b)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	return nil
}
