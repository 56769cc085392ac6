package reactor

import (
	"runtime"
	"sync"
	"time"

	"keywatch/kv/heap"
)

const (
	// readSize is the most that is read from a peer before others have a turn.
	readSize = 16 << 10
	// turn is how many sockets of one priority are looked after before those of another, what
	// happened meanwhile, and other goroutines, writers for one, have theirs.
	turn = 16
	// endingsShare is how many sockets of priority Endings have a turn beside others.
	endingsShare = 1
	// lateTimer is how late a socket is looked at that is read from and written to first.
	lateTimer = 100 * time.Millisecond
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

	mu struct {
		sync.Mutex
		inbox [priorities][]*sock
		// asleep says that the loop waits, or is about to, and is to be woken; stopped, that
		// it is to end.
		asleep, stopped bool
	}

	// The rest belongs to the goroutine.
	poller *poller
	timers heap.Heap[due]
	// turns are the sockets that are looked after next, by their priority.
	turns [priorities]queue
	pace  pace
	buf   []byte
	in    []byte
	// open counts its sockets.
	open int
	// ending says that the loop is about to end.
	ending bool
}

func newLoop(r *Reactor) (*loop, error) {
	poller, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &loop{
		reactor: r, began: time.Now(), poller: poller,
		timers: heap.New(func(a, b due) bool { return a.at < b.at }, nil),
	}, nil
}

// startLocked starts the loops, unless they run.
func (r *Reactor) startLocked() error {
	if len(r.loops) > 0 {
		return nil
	}
	loops := make([]*loop, r.opts.Loops)
	for i := range loops {
		l, err := newLoop(r)
		if err != nil {
			for _, l := range loops[:i] {
				l.poller.close()
			}
			return err
		}
		loops[i] = l
	}
	r.loops = loops
	for _, l := range loops {
		r.looping.Go(l.run)
	}
	return nil
}

// close has the loop close all of its sockets and end.
func (l *loop) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.stopped = true
	l.wakeLocked()
}

// push puts s into the inbox. It is called once for each time that s becomes
// queued with a priority.
func (l *loop) push(s *sock, p Priority) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.inbox[p] = append(l.mu.inbox[p], s)
	l.wakeLocked()
}

func (l *loop) wakeLocked() {
	if l.mu.asleep {
		l.mu.asleep = false
		l.poller.wake()
	}
}

// take moves the inbox to turns. If there is nothing to do the loop counts as asleep from
// now on.
func (l *loop) take() (idle, stopped bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.turns {
		inbox := &l.mu.inbox[p]
		l.turns[p].push(*inbox...)
		clear(*inbox)
		if *inbox = (*inbox)[:0]; cap(*inbox) > keepQueue {
			*inbox = nil
		}
	}
	stopped = l.mu.stopped && !l.ending
	l.mu.asleep = l.idle() && !stopped
	return l.mu.asleep, stopped
}

// idle reports whether no socket waits for a turn.
func (l *loop) idle() bool {
	for p := range l.turns {
		if l.turns[p].len() > 0 {
			return false
		}
	}
	return true
}

// rise notes that the loop does not wait any more. If it was woken meanwhile the deadline is
// over that it will wait for next.
func (l *loop) rise() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.mu.asleep {
		l.poller.clean = false
	}
	l.mu.asleep = false
}

// since is the time as timers count it.
func (l *loop) since(t time.Time) int64 { return int64(t.Sub(l.began)) }

func (l *loop) run() {
	for l.gather() {
		l.work()
	}
	l.end()
}

// gather has those sockets in turns that have something to do, and waits if there are none.
// It returns false if the loop is to end.
func (l *loop) gather() bool {
	l.poller.fetch()
	l.poller.tell()
	l.expire(time.Now())
	if l.idle() {
		l.poller.arm(l.next()) // before wake may be called
	}
	idle, stopped := l.take()
	if idle {
		l.poller.wait()
		l.poller.tell()
		l.rise()
	}
	return !stopped
}

// next returns when a timer is due; the zero time if there is none.
func (l *loop) next() time.Time {
	if l.timers.Len() == 0 {
		return time.Time{}
	}
	return l.began.Add(time.Duration(l.timers.Min().at))
}

// work gives some sockets of each priority their turn. What happened meanwhile is looked at
// before the next ones, so that who asks waits for a few of those who are told, however many are due.
func (l *loop) work() {
	now := time.Now()
	n := l.serve(Answers, turn, now)
	n += l.serve(Events, turn, now)
	most := turn
	if n > 0 {
		most = endingsShare
	}
	l.serve(Endings, most, now)
	if l.turns[Events].len() > 0 {
		l.giveWay()
	}
	if !l.idle() {
		runtime.Gosched()
	}
}

// serve looks after the next sockets of a priority, most of them at most, and returns how many.
func (l *loop) serve(p Priority, most int, now time.Time) (n int) {
	for n = min(l.turns[p].len(), most); most > 0 && l.turns[p].len() > 0; most-- {
		l.turns[p].pop().handle(p, now)
	}
	return n
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
			d.s.ready(bits)
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
	l.ending = true
	l.serve(Answers, l.turns[Answers].len(), time.Now()) // some may be new
	for l.closeAll(); l.open > 0; l.closeAll() {
		l.gather()
		l.work()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.asleep = false // it is not woken any more
	l.poller.close()
}

// closeAll closes the sockets of which no heavy call runs.
func (l *loop) closeAll() {
	for _, s := range l.poller.owned() {
		if !s.busy {
			s.close(ErrClosed)
		}
	}
}
