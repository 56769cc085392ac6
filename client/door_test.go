package client_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// A door is a TCP proxy that can be closed: then connections break, and new ones
// are not let through.
type door struct {
	url string
	to  string
	ln  net.Listener

	mu struct {
		sync.Mutex
		closed bool
		conns  map[net.Conn]bool
	}
	wg sync.WaitGroup
}

func newDoor(t testing.TB, url string) *door {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{url: "http://" + ln.Addr().String(), to: strings.TrimPrefix(url, "http://"), ln: ln}
	d.mu.conns = map[net.Conn]bool{}
	d.wg.Go(d.accept)
	t.Cleanup(func() {
		ln.Close()
		d.close()
		d.wg.Wait()
	})
	return d
}

func (d *door) accept() {
	for {
		in, err := d.ln.Accept()
		if err != nil {
			return
		}
		d.wg.Go(func() { d.carry(in) })
	}
}

// carry copies both ways until one side ends.
func (d *door) carry(in net.Conn) {
	defer in.Close()
	if !d.enter(in) {
		return
	}
	defer d.leave(in)
	out, err := net.Dial("tcp", d.to)
	if err != nil {
		return
	}
	defer out.Close()
	if !d.enter(out) {
		return
	}
	defer d.leave(out)
	d.wg.Go(func() {
		io.Copy(out, in)
		out.Close()
		in.Close()
	})
	io.Copy(in, out)
}

func (d *door) enter(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.mu.closed {
		d.mu.conns[c] = true
	}
	return !d.mu.closed
}

func (d *door) leave(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.conns, c)
}

func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.closed = true
	for c := range d.mu.conns {
		c.Close()
	}
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.closed = false
}
