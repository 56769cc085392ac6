package fanout

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// readSize is what is read at once, at most.
	readSize = 1 << 20
	// maxRest bounds an incomplete event.
	maxRest = readSize / 2
	// sources is how many loopback addresses connections come from, so that
	// there are ports enough.
	sources = 8
	// opening bounds the connections that are being opened for the first time.
	opening = 256
	// tick is how long the loop sleeps when nothing happens.
	tick = 10 * time.Millisecond
	// comeBack is the delay before a connection that broke is opened again.
	comeBack = 200 * time.Millisecond
)

// A loop owns all watchers, on one goroutine: that of run.
type loop struct {
	o        *Options
	t        *target
	clock    *clock
	ep       int
	buf      []byte
	watchers []watcher
	// lanes is how many series each key has, since when its values count.
	lanes int
	since time.Duration

	// ready counts the watchers whose watches are complete, lastReady is when
	// the last became so. toOpen are to be opened, inFlight are under way.
	ready     int
	lastReady time.Time
	toOpen    []int
	limit     int
	inFlight  int
	again     []retry
	at        time.Duration // the clock when what is parsed was read
	count     Counts
	failure   error

	// asks carries what is to be done between two rounds; it is never closed.
	asks chan func()
	// stop is closed to end run, done when it has ended.
	stop, done chan struct{}
}

// A retry is a watcher that is to be opened again.
type retry struct {
	n   int
	due time.Time
}

func newLoop(o *Options, t *target, c *clock, lanes int) (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	l := &loop{
		o: o, t: t, clock: c, ep: ep, lanes: lanes, limit: opening, buf: make([]byte, readSize), since: c.now(),
		watchers: make([]watcher, o.Watchers), asks: make(chan func()),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	for i := range l.watchers {
		l.watchers[i] = watcher{n: i, fd: -1, stalled: (i*37+11)%100 < o.Stalled}
		l.toOpen = append(l.toOpen, i)
	}
	go l.run()
	return l, nil
}

// close ends the loop and all connections.
func (l *loop) close() {
	close(l.stop)
	<-l.done
}

// do runs f on the loop's goroutine and waits for it.
func (l *loop) do(f func()) {
	ran := make(chan struct{})
	l.asks <- func() { f(); close(ran) }
	<-ran
}

func (l *loop) run() {
	defer close(l.done)
	defer unix.Close(l.ep)
	events := make([]unix.EpollEvent, 1024)
	for {
		select {
		case <-l.stop:
			for i := range l.watchers {
				l.drop(&l.watchers[i])
			}
			return
		case f := <-l.asks:
			f()
		default:
		}
		l.open()
		n, err := unix.EpollWait(l.ep, events, int(tick.Milliseconds()))
		if err != nil && err != unix.EINTR {
			l.failure = fmt.Errorf("epoll: %w", err)
		}
		for i := range events[:max(n, 0)] {
			w := &l.watchers[events[i].Fd]
			if w.gen != events[i].Pad || w.fd < 0 {
				continue
			}
			if err := l.handle(w, events[i].Events); err != nil {
				l.broke(w, err)
			}
		}
	}
}

// open begins connections that are to be opened.
func (l *loop) open() {
	for len(l.toOpen) > 0 && l.inFlight < l.limit {
		n := l.toOpen[0]
		l.toOpen = l.toOpen[1:]
		l.inFlight++
		if err := l.connect(&l.watchers[n]); err != nil {
			l.broke(&l.watchers[n], err)
		}
	}
	for len(l.again) > 0 && time.Now().After(l.again[0].due) {
		l.toOpen = append(l.toOpen, l.again[0].n)
		l.again = l.again[1:]
	}
}

func (l *loop) connect(w *watcher) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		l.failure = fmt.Errorf("open a socket: %w", err)
		return err
	}
	w.fd, w.phase = fd, phaseConnecting
	w.gen++
	if w.stalled {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
	}
	if l.t.addr.Addr().IsLoopback() {
		_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + w.n%sources)}}); err != nil {
			return err
		}
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP, Fd: int32(w.n), Pad: w.gen}
	if err := unix.Connect(fd, sockaddr(l.t.addr)); err != nil && err != unix.EINPROGRESS {
		return err
	}
	return unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &event)
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

func (l *loop) handle(w *watcher, events uint32) error {
	if events&unix.EPOLLOUT != 0 {
		if w.phase == phaseConnecting {
			if err := l.connected(w); err != nil {
				return err
			}
		}
		if err := l.flush(w); err != nil {
			return err
		}
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLRDHUP) != 0 {
		return l.read(w)
	}
	return nil
}

// connected has the request sent.
func (l *loop) connected(w *watcher) error {
	if e, err := unix.GetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || e != 0 {
		return errors.Join(err, unix.Errno(e))
	}
	w.phase = phaseHead
	first := w.n * l.o.Watches % l.o.Keys
	w.out = l.t.subscribe(w.n, first, w.pos)
	if l.o.Transport == WebSocket && !l.o.foreign() {
		for i := range l.o.Watches {
			w.out = l.t.watchOp(w.out, i+1, (first+i)%l.o.Keys, w.pos)
		}
	}
	return nil
}

// flush writes what is to be sent, and waits for room only if there is more.
func (l *loop) flush(w *watcher) error {
	for len(w.out) > 0 {
		n, err := unix.Write(w.fd, w.out)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			return err
		}
		w.out = w.out[n:]
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(w.n), Pad: w.gen}
	if len(w.out) > 0 {
		event.Events |= unix.EPOLLOUT
	} else {
		w.out = nil
	}
	return unix.EpollCtl(l.ep, unix.EPOLL_CTL_MOD, w.fd, &event)
}

// read takes what has come. One read is enough: if there is more, epoll says so
// again.
func (l *loop) read(w *watcher) error {
	kept := copy(l.buf, w.rest)
	if kept > maxRest {
		return errors.New("an event is too large")
	}
	n, err := unix.Read(w.fd, l.buf[kept:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return errBye
	}
	l.at = l.clock.now()
	was := w.ready
	if err := l.take(w, l.buf[:kept+n], kept); err != nil {
		return err
	}
	if was < l.o.Watches && w.ready == l.o.Watches {
		l.inFlight--
		if w.stalled {
			return unix.EpollCtl(l.ep, unix.EPOLL_CTL_DEL, w.fd, nil)
		}
	}
	return nil
}

// broke handles a connection that ended unasked: it reconnects.
func (l *loop) broke(w *watcher, err error) {
	l.count.Breaks++
	var status statusError
	if errors.As(err, &status) {
		l.count.Refused++
		if status.final() {
			l.failure = err
		}
	}
	if l.count.Breaks == 1 {
		l.o.Progress("connection: " + err.Error())
	}
	if w.ready < l.o.Watches {
		l.inFlight--
	}
	l.drop(w)
	l.again = append(l.again, retry{w.n, time.Now().Add(comeBack)})
}

// drop closes a connection.
func (l *loop) drop(w *watcher) {
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
	if w.fd = -1; w.ready >= l.o.Watches {
		l.ready--
	}
	w.forget()
}

// dropAll closes every connection, half of them without a goodbye to TCP, and
// has all reconnect at once.
func (l *loop) dropAll() {
	l.toOpen, l.again, l.inFlight, l.limit = l.toOpen[:0], nil, 0, len(l.watchers)
	for i := range l.watchers {
		l.cut(&l.watchers[i])
		l.toOpen = append(l.toOpen, i)
	}
}

// cut drops a connection; every other watcher's ends without a goodbye to TCP.
func (l *loop) cut(w *watcher) {
	if w.fd >= 0 && w.n%2 == 0 {
		_ = unix.SetsockoptLinger(w.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	l.drop(w)
}

// dropOne closes the connection of watcher n, if it is complete, and has it
// reconnect.
func (l *loop) dropOne(n int) {
	if w := &l.watchers[n]; w.ready >= l.o.Watches {
		l.cut(w)
		l.toOpen = append(l.toOpen, n)
	}
}
