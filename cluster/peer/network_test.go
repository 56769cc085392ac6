package peer_test

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"
)

// A network connects meshes in memory, so that their time can be that of a synctest bubble.
type network struct {
	mu        sync.Mutex
	listeners map[string]*memListener
	conns     []net.Conn
	carriers  sync.WaitGroup
	cut       map[string]bool // from>to: bytes vanish, and so do ends of connections
	dials     map[string]int  // from>to
	// latency delays a dial, and each piece that is carried; rate is in bytes a second, 0 for no limit.
	latency time.Duration
	rate    int
	// damage, if there is one, may change what is carried.
	damage func(from, to string, b []byte)
}

func newNetwork() *network {
	return &network{listeners: map[string]*memListener{}, cut: map[string]bool{}, dials: map[string]int{}}
}

type memAddr string

func (memAddr) Network() string  { return "mem" }
func (a memAddr) String() string { return string(a) }

type memListener struct {
	network *network
	addr    string
	conns   chan net.Conn // never closed
	done    chan struct{} // closed by Close
	once    sync.Once
}

func (n *network) listen(addr string) *memListener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &memListener{network: n, addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
	n.listeners[addr] = l
	return l
}

func (l *memListener) Addr() net.Addr { return memAddr(l.addr) }

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		if l.network.listeners[l.addr] == l {
			delete(l.network.listeners, l.addr)
		}
	})
	return nil
}

// dialer returns a function that dials from one place.
func (n *network) dialer(from string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, to string) (net.Conn, error) {
		n.mu.Lock()
		n.dials[from+">"+to]++
		l, latency := n.listeners[to], n.latency
		lost := n.cut[from+">"+to] || n.cut[to+">"+from]
		n.mu.Unlock()
		if lost {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		time.Sleep(latency)
		if l == nil {
			return nil, syscall.ECONNREFUSED
		}
		near, nearEnd := net.Pipe()
		far, farEnd := net.Pipe()
		n.carriers.Go(func() { n.carry(nearEnd, farEnd, from, to) })
		n.carriers.Go(func() { n.carry(farEnd, nearEnd, to, from) })
		select {
		case l.conns <- named{far, from}:
			return named{near, to}, nil
		case <-l.done:
		case <-ctx.Done():
		}
		near.Close()
		far.Close()
		return nil, syscall.ECONNREFUSED
	}
}

type named struct {
	net.Conn
	remote string
}

func (c named) RemoteAddr() net.Addr { return memAddr(c.remote) }

// carry is one way of a connection.
func (n *network) carry(in, out net.Conn, from, to string) {
	n.mu.Lock()
	n.conns = append(n.conns, in, out)
	n.mu.Unlock()
	buf := make([]byte, 32<<10)
	for {
		size, err := in.Read(buf)
		n.mu.Lock()
		lost, wait := n.cut[from+">"+to], n.latency
		if n.rate > 0 {
			wait += time.Duration(size) * time.Second / time.Duration(n.rate)
		}
		if n.damage != nil {
			n.damage(from, to, buf[:size])
		}
		n.mu.Unlock()
		if lost && err == nil {
			continue
		}
		if lost {
			return // the other end is not told
		}
		time.Sleep(wait)
		if size > 0 && err == nil {
			_, err = out.Write(buf[:size])
		}
		if err != nil {
			in.Close()
			out.Close()
			return
		}
	}
}

// set changes the network.
func (n *network) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

// isolate cuts both ways between a place and another, or joins them.
func (n *network) isolate(a, b string, lost bool) {
	n.set(func() { n.cut[a+">"+b], n.cut[b+">"+a] = lost, lost })
}

// reset ends all connections.
func (n *network) reset() {
	n.set(func() {
		for _, c := range n.conns {
			c.Close()
		}
	})
}

// close ends everything that is left, as the end of a machine would.
func (n *network) close() {
	n.reset()
	n.carriers.Wait()
}

func (n *network) dialed(from, to string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[from+">"+to]
}

// An addrListener only has an address.
type addrListener struct {
	addr   net.Addr
	closer func()
}

func (l addrListener) Addr() net.Addr          { return l.addr }
func (addrListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }

func (l addrListener) Close() error {
	if l.closer != nil {
		l.closer()
	}
	return nil
}

// elsewhere is a connection to another machine.
type elsewhere struct{ net.Conn }

func (elsewhere) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7071} }
