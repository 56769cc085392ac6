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
// Only wake is for others than the loop, and only between arm and the end of wait.
type poller struct {
	file   *os.File
	raw    syscallConn
	fd     int
	events []unix.EpollEvent
	n      int // events fetched by look
	look   func(fd uintptr) bool
	// socks are the sockets by descriptor. A descriptor that is closed is soon used again:
	// gen tells the two apart.
	socks []*sock
	gen   uint32
	// until is the deadline that is set, if clean is.
	until time.Time
	clean bool
}

type syscallConn interface {
	Read(f func(fd uintptr) (done bool)) error
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), fd: fd, events: make([]unix.EpollEvent, pollEvents)}
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // without deadlines no wait would end
	}
	if err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p.look = func(uintptr) bool { p.fetch(); return p.n > 0 }
	return p, nil
}

// fetch fetches what has happened.
func (p *poller) fetch() {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if p.n = int(n); errno != 0 {
		p.n = 0
	}
}

// arm has the next wait end at a time; the zero time is none.
func (p *poller) arm(until time.Time) {
	if p.clean && until.Equal(p.until) {
		return
	}
	_ = p.file.SetReadDeadline(until)
	p.until, p.clean = until, true
}

// wait waits until something has happened, until the time, or for wake. One that came since arm
// ends it at once: a deadline that is over does.
func (p *poller) wait() {
	if p.raw.Read(p.look) != nil {
		p.n, p.clean = 0, false // the deadline is over
	}
}

// wake has wait return. It readies the loop's goroutine itself: what goes through the kernel is
// seen only once a processor has nothing else to do.
func (p *poller) wake() { _ = p.file.SetReadDeadline(time.Unix(1, 0)) }

// close gives the descriptor back. It must not be used any more.
func (p *poller) close() { _ = p.file.Close() }

// tell posts what happened. An error or the peer's leave shows when reading.
func (p *poller) tell() {
	for i := range p.events[:p.n] {
		e := &p.events[i]
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
