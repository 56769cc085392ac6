package resp

import (
	"slices"
	"sync"

	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/web/reactor"
)

const (
	// maxPushed is how many bytes of messages may wait for a connection; with more it is closed:
	// it has no position to resume from.
	maxPushed = 8 << 20
	// subscriptionCost is about what a subscription takes in memory beside its name, in bytes.
	subscriptionCost = 256
	// maxSubscriptions is how many channels and patterns one connection may have.
	maxSubscriptions = 10_000
	// pushedCost is about what a message takes in memory beside its text, in bytes.
	pushedCost = 64
)

// errBehind is why a subscriber is closed that does not keep up.
const errBehind refusal = "the subscriber has fallen behind"

// pushes are what a connection is told beside its replies: its subscriptions, what tracking it
// has asked for, and the messages that wait. It is safe for concurrent use. nil has nothing.
type pushes struct {
	mu                 sync.Mutex
	channels, patterns map[string]struct{}
	tracked            tracked
	list               []pushed
	bytes              int
	behind             bool // it was closed because of that
}

// A pushed is one message. One with hold set waits for the replies of what the connection has
// under way. If rev is set it is dropped where the connection itself has written that revision.
// then, if not nil, is done in place of sending text.
type pushed struct {
	text []byte
	hold bool
	rev  kv.Rev
	then func()
}

// counts returns how many channels and patterns are subscribed to.
func (p *pushes) counts() (channels, patterns int) {
	if p == nil {
		return 0, 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.channels), len(p.patterns)
}

// subscriptions returns how many there are in all.
func (s *session) subscriptions() int {
	channels, patterns := s.what.Load().counts()
	return channels + patterns
}

// own returns the pushes of the session, which may be new. It may be called by anybody.
func (s *session) own() *pushes {
	if p := s.what.Load(); p != nil {
		return p
	}
	s.what.CompareAndSwap(nil, &pushes{channels: make(map[string]struct{}), patterns: make(map[string]struct{})})
	return s.what.Load()
}

// enqueue adds a message, unless there are too many; first says that it is the first that there
// was no room for.
func (p *pushes) enqueue(m pushed) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes > maxPushed {
		first = !p.behind
		p.behind = true
		return first
	}
	p.list = append(p.list, m)
	p.bytes += len(m.text) + pushedCost
	return false
}

// pushText has a message sent. It may be called by anybody.
func (s *session) pushText(p *pushes, m pushed) {
	if p.enqueue(m) {
		s.server.opts.Logger.Warn("connection closed", "err", errBehind, "peer", s.peer)
		s.abort(errBehind)
		return
	}
	s.Wake()
}

// tell appends the messages that wait, whole ones, about a piece of them.
func (s *session) tell(b []byte) []byte {
	p := s.what.Load()
	if p == nil {
		return b
	}
	busy := s.ahead > 0 || s.blocked
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for ; n < len(p.list) && len(b) < reactor.Piece && !(busy && p.list[n].hold); n++ {
		m := &p.list[n]
		p.bytes -= len(m.text) + pushedCost
		switch {
		case m.rev != 0 && slices.Contains(p.tracked.own, m.rev):
		case m.then != nil:
			then := m.then
			p.mu.Unlock()
			then()
			p.mu.Lock()
		default:
			b = append(b, m.text...)
		}
	}
	if p.list = slices.Delete(p.list, 0, n); len(p.list) == 0 {
		p.list = nil
	} else if !(busy && p.list[0].hold) {
		s.sock.Wake()
	}
	return b
}

// chargeSubscription charges a subscription. It fails with a *ratelimit.FullError.
func (s *session) chargeSubscription(name string) error {
	return s.hold.Grow(ratelimit.Watches, int64(subscriptionCost+len(name)))
}

// endPushes ends all subscriptions and tracking.
func (s *session) endPushes() {
	for _, st := range s.streams {
		st.watcher.Close()
	}
	s.streams = nil
	s.hold.Shrink(ratelimit.Watches, s.hold.Held(ratelimit.Watches))
	p := s.what.Load()
	if p == nil {
		return
	}
	s.server.subscribed.leave(s)
	s.server.tracking.stop(s)
	s.what.Store(nil)
	s.mu.Lock()
	s.aboutLocked().flags = ""
	s.mu.Unlock()
}
