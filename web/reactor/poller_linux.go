package reactor

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// canPoll says that connections can be served without goroutines.
const canPoll = true

// pollEvents is how many events are fetched at once.
const pollEvents = 512

// interest never changes: a socket is watched for everything, on edges, so that
// neither reading nor writing needs another call.
const interest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// A poller tells one loop which of its sockets can be read or written. Its descriptor is
// itself watched by Go's poller: a loop that waits holds neither a thread nor a processor.
// Only wake is for others than the loop.
type poller struct {
	file   *os.File
	raw    syscallConn
	fd     int
	event  int // an eventfd, which wake writes to
	events []unix.EpollEvent
	n      int // events fetched by look
	look   func(fd uintptr) bool
	// socks are the sockets by descriptor. A descriptor that is closed is soon used again:
	// gen tells the two apart.
	socks    []*sock
	gen      uint32
	deadline time.Time
}

type syscallConn interface {
	Read(f func(fd uintptr) (done bool)) error
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &poller{fd: fd, event: event, events: make([]unix.EpollEvent, pollEvents)}
	if err = p.init(); err != nil {
		_ = unix.Close(event)
		_ = unix.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return p, nil
}

func (p *poller) init() error {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(p.event)}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, p.event, &e); err != nil {
		return err
	}
	if err := unix.SetNonblock(p.fd, true); err != nil {
		return err
	}
	p.file = os.NewFile(uintptr(p.fd), "epoll")
	raw, err := p.file.SyscallConn()
	p.raw = raw
	p.look = func(uintptr) bool { p.fetch(); return p.n > 0 }
	return err
}

// fetch fetches what has happened.
func (p *poller) fetch() {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if p.n = int(n); errno != 0 {
		p.n = 0
	}
}

// wait waits until something has happened, or until the time.
func (p *poller) wait(until time.Time) {
	if !until.Equal(p.deadline) {
		_ = p.file.SetReadDeadline(until)
		p.deadline = until
	}
	if p.raw.Read(p.look) != nil {
		p.n = 0
	}
}

var one = [8]byte{1}

// wake has wait return. It may be called by anyone until close.
func (p *poller) wake() {
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(p.event), uintptr(unsafe.Pointer(&one)), 8)
}

// close gives the descriptors back. They must not be used any more.
func (p *poller) close() {
	_ = p.file.Close()
	_ = unix.Close(p.event)
}

// tell posts what happened. An error or the peer's leave shows when reading.
func (p *poller) tell() {
	for i := range p.events[:p.n] {
		e := &p.events[i]
		if int(e.Fd) == p.event {
			continue
		}
		s := p.socks[e.Fd]
		if s == nil || s.gen != uint32(e.Pad) {
			continue
		}
		var bits uint32
		if e.Events&unix.EPOLLIN != 0 {
			bits |= readable
		}
		if e.Events&(unix.EPOLLRDHUP|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			bits |= readable | leaving
		}
		if e.Events&unix.EPOLLOUT != 0 {
			bits |= writable
		}
		s.ready(bits)
	}
	p.n = 0
}

// add has s watched.
func (p *poller) add(s *sock) error {
	for len(p.socks) <= int(s.fd) {
		p.socks = append(p.socks, nil)
	}
	p.gen++
	s.gen = p.gen
	e := unix.EpollEvent{Events: interest, Fd: s.fd, Pad: int32(s.gen)}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(s.fd), &e); err != nil {
		return err
	}
	p.socks[s.fd] = s
	return nil
}

// owned returns the sockets.
func (p *poller) owned() (owned []*sock) {
	for _, s := range p.socks {
		if s != nil {
			owned = append(owned, s)
		}
	}
	return owned
}

// remove forgets s, whose descriptor is about to be closed.
func (p *poller) remove(s *sock) {
	if int(s.fd) < len(p.socks) && p.socks[s.fd] == s {
		p.socks[s.fd] = nil
	}
}

// unwatch is for a socket whose connection lives on under another descriptor, so that closing
// this one is not enough.
func (p *poller) unwatch(s *sock) {
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, int(s.fd), nil)
}
