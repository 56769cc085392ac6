package reactor

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// canPoll says that connections can be served without goroutines.
const canPoll = true

// pollEvents is how many events are fetched at once.
const pollEvents = 512

// interest never changes: a socket is watched for everything, on edges, so that
// neither reading nor writing needs another call.
const interest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// A poller tells loops which of their sockets can be read or written. Its
// descriptor is itself watched by Go's poller, so that no thread waits for it.
type poller struct {
	file *os.File
	fd   int
	mu   struct {
		sync.Mutex
		// socks are the sockets by descriptor. A descriptor that is closed is soon
		// used again: gen tells the two apart.
		socks []*sock
		gen   uint32
	}
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
	return &poller{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}, nil
}

// close ends run.
func (p *poller) close() { _ = p.file.Close() }

func (p *poller) run() {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	events := make([]unix.EpollEvent, pollEvents)
	for {
		var n int
		err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0)
			return n > 0
		})
		if err != nil {
			return // closed
		}
		p.tell(events[:n])
	}
}

// tell posts what happened. An error or the peer's leave shows when reading.
func (p *poller) tell(events []unix.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		e := &events[i]
		s := p.mu.socks[e.Fd]
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
		s.post(bits)
	}
}

// add has s watched.
func (p *poller) add(s *sock) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.mu.socks) <= int(s.fd) {
		p.mu.socks = append(p.mu.socks, nil)
	}
	p.mu.gen++
	s.gen = p.mu.gen
	e := unix.EpollEvent{Events: interest, Fd: s.fd, Pad: int32(s.gen)}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(s.fd), &e); err != nil {
		return err
	}
	p.mu.socks[s.fd] = s
	return nil
}

// owned returns the sockets of l.
func (p *poller) owned(l *loop) (owned []*sock) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.mu.socks {
		if s != nil && s.loop == l {
			owned = append(owned, s)
		}
	}
	return owned
}

// remove forgets s, which is about to be closed.
func (p *poller) remove(s *sock) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(s.fd) < len(p.mu.socks) && p.mu.socks[s.fd] == s {
		p.mu.socks[s.fd] = nil
	}
}
