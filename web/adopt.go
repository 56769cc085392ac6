package web

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"keywatch/web/reactor"
)

// adopt takes a connection over from the HTTP server and has the handler that
// make returns serve it. The connection given is closed; its descriptor lives
// on.
func (s *Server) adopt(conn net.Conn, make func(reactor.Socket) reactor.Handler) error {
	for {
		inner, ok := conn.(interface{ UnsafeConn() net.Conn })
		if !ok {
			break
		}
		conn = inner.UnsafeConn()
	}
	own := conn
	if tcp, ok := conn.(*net.TCPConn); ok {
		file, err := tcp.File()
		if err != nil {
			return err
		}
		defer file.Close()
		if own, err = net.FileConn(file); err != nil {
			return err
		}
	}
	p := &pairSocket{conn: own, ready: newToken(), unpaused: newToken(), done: newDone()}
	p.mu.Lock()
	p.handler = make(p)
	p.mu.Unlock()
	s.background.Go(func() { p.serve(s.streams.opts.writeTimeout) })
	return nil
}

func newToken() chan struct{} { return make(chan struct{}, 1) }
func newDone() chan struct{}  { return make(chan struct{}) }

// A pairSocket is a reactor.Socket with two goroutines.
type pairSocket struct {
	conn    net.Conn
	handler reactor.Handler
	ready   chan struct{} // carries a token when Fill is to be called
	done    chan struct{} // closed when the connection ends
	// unpaused carries a token when reading may have been resumed.
	unpaused chan struct{}

	mu    sync.Mutex // held while a method of handler runs
	state struct {
		sync.Mutex
		err              error
		ended            bool
		finished, paused bool
	}
}

func put(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Wake implements reactor.Socket.
func (p *pairSocket) Wake() { put(p.ready) }

// Finish implements reactor.Socket.
func (p *pairSocket) Finish() {
	p.state.Lock()
	p.state.finished = true
	p.state.Unlock()
	put(p.ready)
}

// Abort implements reactor.Socket.
func (p *pairSocket) Abort(err error) { p.end(err) }

func (p *pairSocket) end(err error) {
	p.state.Lock()
	defer p.state.Unlock()
	if !p.state.ended {
		p.state.ended, p.state.err = true, err
		close(p.done)
		_ = p.conn.SetDeadline(time.Unix(1, 0))
	}
}

// Pause implements reactor.Socket.
func (p *pairSocket) Pause(stop bool) {
	p.state.Lock()
	p.state.paused = stop
	p.state.Unlock()
	put(p.unpaused)
}

func (p *pairSocket) serve(timeout time.Duration) {
	read := make(chan struct{})
	go func() { defer close(read); p.read() }()
	p.write(timeout)
	<-read
	_ = p.conn.Close()
	p.handler.Closed(p.state.err)
}

func (p *pairSocket) isPaused() bool {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.paused
}

func (p *pairSocket) read() {
	buf := make([]byte, 32<<10)
	for {
		for p.isPaused() {
			select {
			case <-p.unpaused:
			case <-p.done:
				return
			}
		}
		n, err := p.conn.Read(buf)
		if n > 0 {
			p.mu.Lock()
			p.handler.Receive(buf[:n])
			p.mu.Unlock()
		}
		if err != nil {
			p.end(err)
			return
		}
	}
}

func (p *pairSocket) write(timeout time.Duration) {
	var b []byte
	for {
		p.mu.Lock()
		_ = p.handler.Heavy()
		var again time.Time
		b, again = p.handler.Fill(b[:0], time.Now())
		p.mu.Unlock()
		if len(b) > 0 {
			_ = p.conn.SetWriteDeadline(time.Now().Add(timeout))
			if _, err := p.conn.Write(b); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					err = reactor.ErrStalled
				}
				p.end(err)
				return
			}
		}
		p.state.Lock()
		finished := p.state.finished
		p.state.Unlock()
		if finished {
			p.end(nil)
			return
		}
		if len(b) == 0 && !p.rest(again) {
			return
		}
	}
}

// rest waits until Fill is to be called. It returns false at the end.
func (p *pairSocket) rest(again time.Time) bool {
	var timer <-chan time.Time
	if !again.IsZero() {
		t := time.NewTimer(time.Until(again))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-p.done:
		return false
	case <-p.ready:
	case <-timer:
	}
	return true
}
