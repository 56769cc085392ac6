package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// acceptPause is how long nothing is accepted after it failed, for want of descriptors say.
const acceptPause = 100 * time.Millisecond

// handshakes are the accepted connections that have not said hello yet.
type handshakes struct {
	limit int
	mu    sync.Mutex
	conns []net.Conn // the oldest first
}

// begin adds conn and returns the oldest, which must end, if there are too many.
func (h *handshakes) begin(conn net.Conn) (over net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = append(h.conns, conn)
	if len(h.conns) > h.limit {
		over = h.conns[0]
		h.conns = slices.Delete(h.conns, 0, 1)
	}
	return over
}

// has reports whether conn was added and neither ended nor had to.
func (h *handshakes) has(conn net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.conns, conn)
}

// end removes conn.
func (h *handshakes) end(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.conns, conn); i >= 0 {
		h.conns = slices.Delete(h.conns, i, i+1)
	}
}

func (h *handshakes) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

// accept is the goroutine that accepts connections.
func (m *Mesh) accept() {
	for {
		conn, err := m.opts.Listener.Accept()
		switch {
		case m.ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return
		case errors.Is(err, net.ErrClosed):
			m.opts.Logger.Error("peer listener closed", "error", err)
			return
		case err != nil:
			if suppressed, ok := m.log.allow(time.Now()); ok {
				m.opts.Logger.Error("peer connection not accepted", "error", err, "suppressed", suppressed)
			}
			select {
			case <-time.After(acceptPause):
			case <-m.ctx.Done():
			}
			continue
		}
		if over := m.handshakes.begin(conn); over != nil {
			over.Close()
		}
		m.running.Go(func() { m.serve(conn) })
	}
}

// serve is the goroutine of an accepted connection.
func (m *Mesh) serve(conn net.Conn) {
	defer conn.Close()
	s := &session{raw: conn, conn: conn}
	stop := context.AfterFunc(m.ctx, func() { conn.Close() })
	defer stop()
	err := m.answer(s)
	if !m.handshakes.has(conn) {
		err = fmt.Errorf("%w: at most %d are allowed", ErrHandshakes, m.opts.Handshakes)
	}
	if err != nil {
		m.noteRefused(s, err)
		linger(conn)
	}
	m.handshakes.end(conn)
	if err != nil {
		return
	}
	if s.kind == askKind {
		linger(conn)
		return
	}
	serve := m.serveLink
	if s.kind == streamKind {
		serve = m.receive
	}
	if err := serve(s); err != nil {
		m.noteRefused(s, err)
	}
}

// linger reads what the other end has sent until it closes, within the time for a hello: to close a
// connection with bytes unread would take away what it was told.
func linger(conn net.Conn) {
	_, _ = io.CopyN(io.Discard, conn, maxRecord) // the connection ends in any case
}

// serveLink makes s the link of its node. The error says why it is none.
func (m *Mesh) serveLink(s *session) error {
	l := newLink(s)
	if err := s.peer.install(l); err != nil {
		return err
	}
	l.run()
	return nil
}

// noteRefused counts and logs a connection that was not accepted.
func (m *Mesh) noteRefused(s *session, err error) {
	if errors.Is(err, errRedundant) || m.ctx.Err() != nil || s.kind == askKind && s.hello.ID == m.opts.ID {
		return
	}
	m.refused.Add(1)
	if suppressed, ok := m.log.allow(time.Now()); ok {
		m.opts.Logger.Warn("peer connection refused", "remote", s.raw.RemoteAddr(), "error", err, "suppressed", suppressed)
	}
}
