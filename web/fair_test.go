package web_test

import (
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/web"
)

// A pipelined is a connection whose peer has sent all its requests at once, and takes
// every answer without a wait.
type pipelined struct {
	net.Conn // a pipe that is idle, for what the test does not do
	name     byte
	requests string
	start    func() // waits until all peers have sent
	wrote    func(name byte)
	sent     bool
}

func (c *pipelined) Read(b []byte) (int, error) {
	if c.sent {
		return c.Conn.Read(b)
	}
	c.sent = true
	c.start()
	return copy(b, c.requests), nil
}

func (c *pipelined) Write(b []byte) (int, error) {
	c.wrote(c.name)
	return len(b), nil
}

// If this failed, some hundred clients that send requests without reading answers would each
// hold a processor for a whole time slice, and every write would wait a second for them.
func TestPipelinesTakeTurns(t *testing.T) {
	// One processor, so that who runs when is seen.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	log, hub := newStore(t, kv.Params{})
	server, err := web.New(web.Options{Store: storeOf(log), Hub: hub, Durability: web.DurabilityMemory})
	if err != nil {
		t.Fatal(err)
	}
	ln := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	var mu sync.Mutex
	var order []byte
	wrote := func(name byte) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, name)
	}
	var both sync.WaitGroup
	both.Add(2)
	start := func() { both.Done(); both.Wait() }
	for _, name := range []byte("AB") {
		far, near := net.Pipe()
		defer far.Close()
		ln.conns <- &pipelined{
			Conn: near, name: name, start: start, wrote: wrote,
			requests: strings.Repeat("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 300),
		}
	}
	// Answers are written in pieces of 4 KiB.
	gate.Until(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(order) >= 40 }, "not answered")
	if err := server.Shutdown(gate.Context(t)); err != nil {
		t.Error(err)
	}
	<-ended
	turns := 0
	for i := 1; i < len(order); i++ {
		if order[i] != order[i-1] {
			turns++
		}
	}
	if turns < 10 {
		t.Errorf("the connections wrote in the order %q, want turns", order)
	}
}
