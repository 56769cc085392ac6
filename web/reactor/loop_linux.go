package reactor

import (
	"runtime"
	"sync"
	"time"

	"keywatch/kv/heap"
	"keywatch/kv/wake"
)

const (
	// readSize is the most that is read from a peer before others have a turn.
	readSize = 64 << 10
	// turn is how many sockets are looked after before other goroutines, writers
	// for one, may have the processor.
	turn = 16
	// lateTimer is how late a socket is looked at that is read from and written to first.
	lateTimer = 100 * time.Millisecond
	// keepInbox is the largest inbox that a loop keeps, in sockets.
	keepInbox = 1 << 12
	// keepBuffer is the largest buffer that a loop keeps.
	keepBuffer = 1 << 20
)

// A due is when a socket is to be looked at, in nanoseconds since the loop began.
type due struct {
	at int64
	s  *sock
}

// A loop is one goroutine that owns its sockets: no other reads, writes or
// closes their descriptors.
type loop struct {
	reactor *Reactor
	began   time.Time
	// wake says that the inbox may hold something.
	wake wake.Chan
	// stop is closed by close.
	stop chan struct{}

	mu struct {
		sync.Mutex
		inbox []*sock
	}

	// The rest belongs to the goroutine.
	timers heap.Heap[due]
	buf    []byte
	in     []byte
	// open counts its sockets.
	open int
}

func newLoop(r *Reactor) *loop {
	return &loop{
		reactor: r, began: time.Now(), wake: wake.New(), stop: make(chan struct{}),
		timers: heap.New(func(a, b due) bool { return a.at < b.at }, nil),
	}
}

func (l *loop) close() { close(l.stop) }

// push puts s into the inbox. It is called once for each time that s becomes
// queued.
func (l *loop) push(s *sock) {
	l.mu.Lock()
	l.mu.inbox = append(l.mu.inbox, s)
	first := len(l.mu.inbox) == 1
	l.mu.Unlock()
	if first {
		l.wake.Wake()
	}
}

// take empties the inbox, in place of which spare is left.
func (l *loop) take(spare []*sock) []*sock {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.mu.inbox
	l.mu.inbox = spare
	return taken
}

// since is the time as timers count it.
func (l *loop) since(t time.Time) int64 { return int64(t.Sub(l.began)) }

func (l *loop) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var spare []*sock
	for {
		select {
		case <-l.stop:
			l.end()
			return
		case <-l.wake:
		case <-timer.C:
		}
		now := time.Now()
		l.expire(now)
		taken := l.take(spare[:0])
		for i, s := range taken {
			taken[i] = nil
			s.handle(now)
			if i%turn == turn-1 {
				runtime.Gosched()
				now = time.Now()
			}
		}
		if spare = taken; cap(spare) > keepInbox {
			spare = nil
		}
		if l.timers.Len() > 0 {
			timer.Reset(time.Duration(l.timers.Min().at - l.since(time.Now())))
		}
	}
}

// expire looks after the sockets whose time has come. One that is looked at late may be
// so because the process did not run: what its peer has sent and read meanwhile comes
// before any verdict about its silence.
func (l *loop) expire(now time.Time) {
	at := l.since(now)
	for l.timers.Len() > 0 && l.timers.Min().at <= at {
		d := l.timers.Pop()
		if d.s.due == d.at {
			bits := uint32(timed)
			if at-d.at >= int64(lateTimer) {
				bits |= readable | writable
			}
			d.s.due = 0
			d.s.post(bits)
		}
	}
}

// schedule has s looked at no later than at.
func (l *loop) schedule(s *sock, at int64) {
	if at = max(at, 1); s.due == 0 || at < s.due {
		s.due = at
		l.timers.Push(due{at, s})
	}
}

// end closes what is open. Heavy calls that still run are awaited by handing
// their sockets over like all others.
func (l *loop) end() {
	for _, s := range l.take(nil) {
		s.handle(time.Now()) // it may be new
	}
	for l.open > 0 {
		for _, s := range l.reactor.poller.owned(l) {
			if !s.busy {
				s.close(ErrClosed)
			}
		}
		if l.open == 0 {
			return
		}
		<-l.wake
		for _, s := range l.take(nil) {
			s.handle(time.Now())
		}
	}
}
