package reactor

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A turns is a loop that the test gives its turns, and the order in which sockets had theirs.
type turns struct {
	*loop
	order []*member
}

// A member is the Handler of one of the sockets.
type member struct {
	*sock
	all *turns
	// more is how often it has something more to say at once.
	more int
}

func (m *member) Receive([]byte)   { m.all.order = append(m.all.order, m) }
func (m *member) Heavy() bool      { return false }
func (m *member) Unsent(int) error { return nil }
func (m *member) Closed(error)     {}

func (m *member) Fill(b []byte, now time.Time) ([]byte, time.Time) {
	m.all.order = append(m.all.order, m)
	if m.more--; m.more < 0 {
		return b, time.Time{}
	}
	return b, now
}

func newTurns(t *testing.T) *turns {
	l, err := newLoop(New(Options{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.poller.close)
	return &turns{loop: l}
}

// crowd adds n sockets that say nothing.
func (l *turns) crowd(n int) (all []*member) {
	for range n {
		m := &member{all: l}
		m.sock = &sock{loop: l.loop, handler: m, fd: -1}
		all = append(all, m)
	}
	return all
}

// asker adds a socket that is connected to the descriptor returned.
func (l *turns) asker(t *testing.T) (m *member, peer int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	m = l.crowd(1)[0]
	if m.fd = int32(pair[0]); !m.enter() {
		t.Fatal("the socket is not watched")
	}
	l.settle()
	return m, pair[1]
}

// turn gives the loop one turn.
func (l *turns) turn() { l.gather(); l.work() }

// settle gives it turns until nothing is to be done, and forgets them.
func (l *turns) settle() {
	for l.turn(); !l.idle(); l.turn() {
	}
	l.order = nil
}

// before returns how many turns others had before m, -1 if m had none.
func (l *turns) before(m *member) int {
	for i, had := range l.order {
		if had == m {
			return i
		}
	}
	return -1
}

// If this failed, who asks for something would wait until all watchers of a key were told, however
// many they are.
func TestRequestsGoBeforeEvents(t *testing.T) {
	l := newTurns(t)
	m, peer := l.asker(t)
	for _, told := range l.crowd(10_000) {
		told.WakeAs(Events)
	}
	l.turn()
	began := len(l.order)
	if _, err := unix.Write(peer, []byte("ask")); err != nil {
		t.Fatal(err)
	}
	l.turn()
	if got := l.before(m); got < 0 || got-began > turn {
		t.Errorf("got %d turns of others before that of who asks, of %d, want %d at most", got-began, len(l.order), turn)
	}
	l.order = nil
	m.Wake() // the answer
	l.turn()
	if got := l.before(m); got != 0 {
		t.Errorf("got %d turns of others before the answer, want 0", got)
	}
}

// If this failed, some that ask all the time would keep others from being told, or those who are told
// all the time would keep those from their end who may not be told any more.
func TestEveryPriorityHasTurns(t *testing.T) {
	l := newTurns(t)
	crowds := [priorities][]*member{}
	for p := range crowds {
		crowds[p] = l.crowd(1000)
		for _, m := range crowds[p] {
			if m.more = 1 << 30; Priority(p) == Endings {
				m.more = 0
			}
			m.WakeAs(Priority(p))
		}
	}
	for range 1000/endingsShare + 1 {
		l.turn()
	}
	had := map[*member]int{}
	for _, m := range l.order {
		had[m]++
	}
	for p, crowd := range crowds {
		for i, m := range crowd {
			if want := 1; had[m] < want {
				t.Fatalf("socket %d of priority %d had no turn of %d", i, p, len(l.order))
			}
		}
	}
}

// If this failed, those who are told something would wait until thousands were told that nothing
// more will come.
func TestEventsGoBeforeEndings(t *testing.T) {
	l := newTurns(t)
	for _, m := range l.crowd(10_000) {
		m.WakeAs(Endings)
	}
	l.turn()
	l.order = nil
	crowd := l.crowd(1000)
	for _, m := range crowd {
		m.WakeAs(Events)
	}
	for l.before(crowd[999]) < 0 {
		l.turn()
	}
	if others, most := len(l.order)-len(crowd), (len(crowd)/turn+1)*endingsShare; others > most {
		t.Errorf("got %d endings before %d were told, want %d at most", others, len(crowd), most)
	}
	l.settle() // all others
}

// If this failed, a socket that is queued with two priorities would have its turn twice, or lose what
// it was woken for meanwhile.
func TestPriorityOfAQueuedSocketChanges(t *testing.T) {
	l := newTurns(t)
	m := l.crowd(1)[0]
	m.WakeAs(Endings)
	m.WakeAs(Events)
	m.Wake()
	m.Wake()
	for l.turn(); !l.idle(); l.turn() {
	}
	if len(l.order) != 1 || m.state.Load() != 0 {
		t.Errorf("got %d turns and state %b, want one turn", len(l.order), m.state.Load())
	}
	for p := range Priority(priorities) {
		m.WakeAs(p)
		l.turn()
		if !l.idle() || m.state.Load() != 0 {
			t.Errorf("priority %d: got state %b after its turn", p, m.state.Load())
		}
	}
	if len(l.order) != 1+priorities {
		t.Errorf("got %d turns, want %d", len(l.order), 1+priorities)
	}
}

// If this failed, a loop that always has something to do would keep room for all that it ever did.
func TestQueueKeepsItsOrderAndRoom(t *testing.T) {
	var q queue
	next, due := int32(0), int32(0)
	for range 10_000 {
		for range 3 {
			q.push(&sock{fd: next})
			next++
		}
		for q.len() > 5 {
			if s := q.pop(); s.fd != due {
				t.Fatalf("got socket %d, want %d", s.fd, due)
			}
			due++
		}
	}
	if cap(q.socks) > 64 {
		t.Errorf("got room for %d sockets, of %d that wait", cap(q.socks), q.len())
	}
}
