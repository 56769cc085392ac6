package cluster_test

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// pieceSize is the most that a proxy passes on at once.
const pieceSize = 16 << 10

// wires are the proxies between all nodes of a network. What goes from one node to another is
// subject to the path of the two, whichever of them dialled.
type wires struct {
	net     *network
	running sync.WaitGroup
	paths   [][]*path // by sender and receiver
	mu      struct {
		sync.Mutex
		conns  map[*relay]bool
		closed bool
	}
	listeners []net.Listener
}

// A path is the way from one node to another.
type path struct {
	mu      sync.Mutex
	changed chan struct{} // closed when one of the following changes
	cut     bool          // nothing passes, as if each packet was lost
	refused bool          // connections of the two are reset
	delay   time.Duration // for each piece
	rate    int           // bytes a second; 0 is no bound
}

// set changes the path.
func (p *path) set(change func(p *path)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
	close(p.changed)
	p.changed = make(chan struct{})
}

// pass waits until a piece of n bytes that was sent at a time arrives, and reports false if
// over was closed before.
func (p *path) pass(n int, sent time.Time, over <-chan struct{}) bool {
	for {
		p.mu.Lock()
		cut, changed, wait := p.cut, p.changed, time.Until(sent.Add(p.delay))
		if p.rate > 0 {
			wait = max(wait, time.Duration(n)*time.Second/time.Duration(p.rate))
		}
		p.mu.Unlock()
		if !cut && wait <= 0 {
			return true
		}
		if cut {
			select {
			case <-changed:
				continue
			case <-over:
				return false
			}
		}
		select {
		case <-time.After(wait):
		case <-over:
			return false
		}
		p.mu.Lock()
		cut = p.cut
		p.mu.Unlock()
		if !cut {
			return true
		}
	}
}

// A relay is one connection through a proxy.
type relay struct {
	from, to int // who dialled whom
	dialer   net.Conn
	dialed   net.Conn
	over     chan struct{}
	end      func()
}

// newWires has every pair of nodes connected through proxies, which t closes.
func newWires(t testing.TB, n *network) *wires {
	t.Helper()
	w := &wires{net: n}
	w.mu.conns = make(map[*relay]bool)
	t.Cleanup(w.close)
	for i := range n.nodes {
		w.paths = append(w.paths, nil)
		for range n.nodes {
			w.paths[i] = append(w.paths[i], &path{changed: make(chan struct{})})
		}
	}
	for i := range n.nodes {
		for j := range n.nodes {
			if i == j {
				continue
			}
			l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", n.proxy(i, j), peerPort))
			if err != nil {
				t.Fatal(err)
			}
			w.listeners = append(w.listeners, l)
			w.running.Go(func() { w.accept(l, i, j) })
		}
	}
	return w
}

func (w *wires) close() {
	w.mu.Lock()
	w.mu.closed = true
	for r := range w.mu.conns {
		r.end()
	}
	w.mu.Unlock()
	for _, l := range w.listeners {
		l.Close()
	}
	w.running.Wait()
}

// accept takes the connections that node i makes to node j.
func (w *wires) accept(l net.Listener, i, j int) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		w.running.Go(func() { w.relay(c, i, j) })
	}
}

// relay connects a connection of i to j.
func (w *wires) relay(dialer net.Conn, i, j int) {
	defer reset(dialer)
	if w.refuses(i, j) {
		return
	}
	dialed, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", w.net.node(j), peerPort), time.Second)
	if err != nil {
		return
	}
	defer reset(dialed)
	r := &relay{from: i, to: j, dialer: dialer, dialed: dialed, over: make(chan struct{})}
	r.end = sync.OnceFunc(func() { close(r.over); reset(dialer); reset(dialed) })
	if !w.add(r) {
		return
	}
	defer w.forget(r)
	var ways sync.WaitGroup
	ways.Go(func() { r.carry(dialed, dialer, w.paths[i][j]) })
	ways.Go(func() { r.carry(dialer, dialed, w.paths[j][i]) })
	ways.Wait()
}

func (w *wires) refuses(i, j int) bool {
	for _, p := range []*path{w.paths[i][j], w.paths[j][i]} {
		p.mu.Lock()
		refused := p.refused
		p.mu.Unlock()
		if refused {
			return true
		}
	}
	return false
}

func (w *wires) add(r *relay) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mu.closed {
		w.mu.conns[r] = true
	}
	return !w.mu.closed
}

func (w *wires) forget(r *relay) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.mu.conns, r)
}

// A piece is what was read at once.
type piece struct {
	data []byte
	sent time.Time
}

// carry takes what src sends to dst, by way of p. That src has ended is news that goes the same
// way: while nothing passes dst does not learn of it.
func (r *relay) carry(dst, src net.Conn, p *path) {
	under := make(chan piece, 64) // on its way; closed by its sender
	go r.read(src, under)
	for b := range under {
		if !p.pass(len(b.data), b.sent, r.over) {
			break
		}
		if _, err := dst.Write(b.data); err != nil {
			break // src learns of it by the other way
		}
	}
	for range under { // until its sender has ended
	}
	p.pass(0, time.Now(), r.over)
	r.end()
}

// read hands over what src sends until it ends.
func (r *relay) read(src net.Conn, under chan<- piece) {
	defer close(under)
	for {
		buf := make([]byte, pieceSize)
		n, err := src.Read(buf)
		if n > 0 {
			select {
			case under <- piece{buf[:n], time.Now()}:
			case <-r.over:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// reset ends a connection as one that is not known any more.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

// A way is what happens to what would go from one node to another.
type way func(p *path)

// lost has everything be lost; the ends notice by silence.
func lost(p *path) { p.cut = true }

// refused has connections be reset, and new ones too; it is for both directions at once.
func refused(p *path) { p.refused = true }

// delayed has everything arrive later.
func delayed(d time.Duration) way { return func(p *path) { p.delay = d } }

// throttled bounds the bytes a second.
func throttled(rate int) way { return func(p *path) { p.rate = rate } }

// change changes the path from i to j.
func (w *wires) change(i, j int, how way) {
	w.paths[i][j].set(how)
	if w.refuses(i, j) {
		w.endPair(i, j)
	}
}

// endPair resets the connections of two nodes.
func (w *wires) endPair(i, j int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range w.mu.conns {
		if r.from == i && r.to == j || r.from == j && r.to == i {
			r.end()
		}
	}
}

// halfOpen resets, of each connection of i and j, the end at i; j hears nothing of it until
// the paths between them are healed.
func (w *wires) halfOpen(i, j int) {
	w.paths[i][j].set(lost)
	w.paths[j][i].set(lost)
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range w.mu.conns {
		switch {
		case r.from == i && r.to == j:
			reset(r.dialer)
		case r.from == j && r.to == i:
			reset(r.dialed)
		}
	}
}

// heal has everything pass again.
func (w *wires) heal() {
	for i := range w.paths {
		for j := range w.paths[i] {
			w.paths[i][j].set(func(p *path) { p.cut, p.refused, p.delay, p.rate = false, false, 0, 0 })
		}
	}
}

// groups has how happen to what goes between nodes that no group has both of.
func (w *wires) groups(how way, groups ...[]int) {
	together := func(i, j int) bool {
		for _, g := range groups {
			if slices.Contains(g, i) && slices.Contains(g, j) {
				return true
			}
		}
		return false
	}
	for i := range w.paths {
		for j := range w.paths {
			if i != j && !together(i, j) {
				w.change(i, j, how)
			}
		}
	}
}
