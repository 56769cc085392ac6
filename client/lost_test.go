package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"keywatch/app"
	"keywatch/client"
	"keywatch/test/gate"
)

// A cutter is a TCP proxy that breaks the first connection it is armed for,
// after so many bytes of the request or of the answer. Later ones pass.
type cutter struct {
	url, to string
	ln      net.Listener
	wg      sync.WaitGroup
	// request and answer are the bytes that the next connection lets through,
	// below 0 for all.
	request, answer atomic.Int64
	// last makes the connection that is cut the last one.
	last bool
	// broken counts the connections that were cut.
	broken atomic.Int64
	// asked and answered count the bytes that passed.
	asked, answered atomic.Int64
}

func newCutter(t testing.TB, url string) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{url: "http://" + ln.Addr().String(), to: strings.TrimPrefix(url, "http://"), ln: ln}
	c.arm(-1, -1)
	c.wg.Go(c.accept)
	t.Cleanup(func() {
		ln.Close()
		c.wg.Wait()
	})
	return c
}

// arm sets what the next connection lets through.
func (c *cutter) arm(request, answer int64) {
	c.request.Store(request)
	c.answer.Store(answer)
	c.asked.Store(0)
	c.answered.Store(0)
}

func (c *cutter) accept() {
	for {
		in, err := c.ln.Accept()
		if err != nil {
			return
		}
		c.wg.Go(func() { c.carry(in, c.request.Swap(-1), c.answer.Swap(-1)) })
	}
}

func (c *cutter) carry(in net.Conn, request, answer int64) {
	defer in.Close()
	out, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer out.Close()
	cut := func() {
		c.broken.Add(1)
		if c.last {
			c.ln.Close()
		}
		in.(*net.TCPConn).SetLinger(0) // a reset, which also drops what the client has not read
		in.Close()
		out.Close()
	}
	c.wg.Go(func() {
		if pass(out, in, request, &c.asked) {
			cut()
		}
		out.(*net.TCPConn).CloseWrite()
	})
	if pass(in, out, answer, &c.answered) {
		// The answer's bytes up to here must arrive: an ordered end, not a reset.
		c.broken.Add(1)
		if c.last {
			c.ln.Close()
		}
	}
}

// pass copies up to limit bytes, and reports whether there it stopped.
func pass(to io.Writer, from io.Reader, limit int64, n *atomic.Int64) (cut bool) {
	if limit < 0 {
		io.Copy(countingWriter{to, n}, from)
		return false
	}
	if limit > 0 {
		io.CopyN(to, from, limit)
		return true
	}
	var one [1]byte
	from.Read(one[:]) // cut only once something came
	return true
}

type countingWriter struct {
	io.Writer
	n *atomic.Int64
}

func (w countingWriter) Write(b []byte) (int, error) {
	w.n.Add(int64(len(b))) // before they can have an effect
	return w.Writer.Write(b)
}

// lossyWrites are writes that show in a version whether they were applied twice.
var lossyWrites = []struct {
	name string
	run  func(context.Context, *client.Client, string) error
}{
	{"put", func(ctx context.Context, c *client.Client, key string) error {
		did, err := c.Put(ctx, key, []byte("value"))
		return wantVersion(did, err)
	}},
	{"batch", func(ctx context.Context, c *client.Client, key string) error {
		did, err := c.Batch(ctx, client.Batch{
			Checks: []client.Check{client.CheckAbsent(key)},
			Ops:    []client.Op{client.OpPut(key, []byte("value"))},
		})
		if err != nil {
			return err
		}
		return wantVersion(did.Results[0].Written, nil)
	}},
}

func wantVersion(did client.Written, err error) error {
	if err == nil && (did.Version != 1 || !did.Created) {
		err = fmt.Errorf("it did %+v, want the key created", did)
	}
	return err
}

// If an answer that is lost at any byte made a write be applied twice, or be
// reported as failed when it was not, no counter could be trusted.
func TestLostAnswers(t *testing.T) { lostAnswers(t, 23) }

func TestProofLostAnswers(t *testing.T) {
	gate.Long(t)
	lostAnswers(t, 1)
}

// lostAnswers cuts connections at one byte in so many.
func lostAnswers(t *testing.T, oneIn int64) {
	s := serve(t, app.ServeConfig{})
	for _, write := range lossyWrites {
		t.Run(write.name, func(t *testing.T) {
			t.Parallel()
			l := newLossy(t, s.url, write.run)
			asked, answered := l.try(t, write.name+"/whole", -1, -1)
			if asked < 100 || answered < 100 {
				t.Fatalf("%d bytes there and %d back: the proxy saw nothing", asked, answered)
			}
			const workers int64 = 4
			step := workers * oneIn
			for worker := range workers {
				t.Run(fmt.Sprint("worker ", worker), func(t *testing.T) {
					t.Parallel()
					l := newLossy(t, s.url, write.run)
					for at := worker * oneIn; at < answered; at += step {
						l.try(t, fmt.Sprintf("%s/answer/%d", write.name, at), -1, at)
					}
					for at := worker * oneIn; at < asked; at += step {
						l.try(t, fmt.Sprintf("%s/request/%d", write.name, at), at, -1)
					}
				})
			}
		})
	}
}

// lossy runs a write through a proxy of its own.
type lossy struct {
	proxy  *cutter
	direct *client.Client
	run    func(context.Context, *client.Client, string) error
}

func newLossy(t *testing.T, url string, run func(context.Context, *client.Client, string) error) *lossy {
	return &lossy{newCutter(t, url), connect(t, url), run}
}

// try runs the write through a connection that is cut, and checks that it was
// applied once. It returns how many bytes went there and back.
func (l *lossy) try(t *testing.T, key string, request, answer int64) (asked, answered int64) {
	t.Helper()
	c, err := client.New(client.Options{Endpoints: []string{l.proxy.url}, Fixed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before := l.proxy.broken.Load()
	l.proxy.arm(request, answer)
	if err := l.run(gate.Context(t), c, key); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	if (request >= 0 || answer >= 0) && l.proxy.broken.Load() == before {
		t.Fatalf("%s: nothing was cut", key)
	}
	e, err := l.direct.Get(gate.Context(t), key)
	if err != nil || e.Version != 1 || string(e.Value) != "value" {
		t.Fatalf("%s: %+v, %v; want version 1", key, e, err)
	}
	return l.proxy.asked.Load(), l.proxy.answered.Load()
}

// If the client went on for ever, or called a write failed that may have been
// applied, its caller would wait or act on what is not so.
func TestOutcomeUnknown(t *testing.T) {
	s := serve(t, app.ServeConfig{})
	proxy := newCutter(t, s.url)
	c := connect(t, proxy.url)
	proxy.arm(-1, 1)
	proxy.last = true
	ctx, cancel := context.WithCancel(gate.Context(t))
	defer cancel()
	go func() { // the server takes the write and the proxy is gone for good
		proxy.wg.Wait()
		cancel()
	}()
	_, err := c.Put(ctx, "k", nil)
	var unknown *client.UnknownError
	if !errors.Is(err, client.ErrOutcomeUnknown) || !errors.As(err, &unknown) || unknown.Key == "" {
		t.Fatalf("%v, want ErrOutcomeUnknown with its key", err)
	}
	// With the key it can be found out what became of it.
	did, err := connect(t, s.url).Put(gate.Context(t), "k", nil, client.IdempotencyKey(unknown.Key))
	if err != nil || did.Version != 1 {
		t.Errorf("the same again: %+v, %v; want version 1", did, err)
	}
}
