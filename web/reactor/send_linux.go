package reactor

import (
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// send writes b, or as much of it as the kernel takes.
func (s *sock) send(b []byte, now time.Time) {
	n := s.write(b)
	if s.closed || n == len(b) {
		return
	}
	if !s.keep(len(b) - n) {
		return
	}
	s.unsent = &unsent{slices.Clone(b[n:]), s.loop.since(now)}
	_, poll := s.loop.reactor.opts.writeLimit()
	s.loop.schedule(s, s.unsent.moved+int64(poll))
}

// keep tells the Handler how much is to be kept. It returns false if that is too much,
// and the connection is closed.
func (s *sock) keep(n int) bool {
	if err := s.handler.Unsent(n); err != nil {
		s.close(err)
		return false
	}
	return true
}

// flush writes what is left, and gives a peer up that has read nothing for too
// long.
func (s *sock) flush(now time.Time, retry bool) {
	if retry {
		if n := s.write(s.unsent.b); n > 0 && !s.closed {
			s.unsent.b, s.unsent.moved = s.unsent.b[n:], s.loop.since(now)
			s.keep(len(s.unsent.b))
		}
	}
	limit, poll := s.loop.reactor.opts.writeLimit()
	switch {
	case s.closed:
	case len(s.unsent.b) == 0:
		s.unsent = nil
		s.post(woken)
	case s.loop.since(now)-s.unsent.moved >= int64(limit):
		s.loop.reactor.stalled.Add(1)
		s.close(ErrStalled)
	default:
		s.loop.schedule(s, s.loop.since(now)+int64(poll))
	}
}

// write writes to the descriptor, which never waits, and returns how many bytes
// it took.
func (s *sock) write(b []byte) (n int) {
	for n < len(b) {
		m, errno := sendNow(int(s.fd), b[n:])
		switch errno {
		case 0:
			n += m
		case unix.EINTR:
		case unix.EAGAIN:
			return n
		default:
			s.close(fmt.Errorf("write: %w", errno))
			return n
		}
	}
	return n
}

// part ends the connection, or hands it over, if that was asked for. Nothing is left to be
// written.
func (s *sock) part(now time.Time) bool {
	switch bits := s.state.Load(); {
	case bits&finished != 0:
		s.finish(now)
	case bits&handed != 0:
		s.handOver()
	default:
		return false
	}
	return true
}

// finish tells the peer that nothing more will come and waits for it to close.
func (s *sock) finish(now time.Time) {
	if s.state.Load()&ended != 0 { // it has: nothing that is unread takes the last bytes back
		s.close(nil)
		return
	}
	s.lingers = true
	if err := unix.Shutdown(int(s.fd), unix.SHUT_WR); err != nil {
		s.close(nil)
		return
	}
	s.state.And(^paused)
	s.post(readable)
	s.loop.schedule(s, s.loop.since(now.Add(linger)))
}

// handOver gives the connection to who asked for it.
func (s *sock) handOver() {
	file := os.NewFile(uintptr(s.fd), "connection")
	conn, err := net.FileConn(file) // has a descriptor of its own
	if err != nil {
		s.close(fmt.Errorf("hand connection over: %w", err))
		return
	}
	s.loop.poller.unwatch(s)
	s.leave()
	_ = file.Close()
	s.extra.Load().taker(conn)
}

// close closes the connection.
func (s *sock) close(err error) {
	if s.closed {
		return
	}
	s.leave()
	_ = unix.Close(int(s.fd))
	s.handler.Closed(err)
}

// leave has the loop forget s, whose descriptor is to be closed now.
func (s *sock) leave() {
	s.closed = true
	s.unsent = nil
	s.loop.open--
	s.loop.poller.remove(s)
	s.loop.reactor.open.Add(-1)
}
