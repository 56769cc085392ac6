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
	// bytes is what list takes, charged what is charged of that.
	bytes, charged int
	// over says that nothing more is told.
	over bool
}

// A pushed is one message. One with hold set tells what tracking tells, and waits for the replies of what the
// connection has under way. If rev is set it is dropped where the connection itself has written that
// revision; then mine, if not nil, is called. then, if not nil, is done in place of sending text. If channel
// is set only who is subscribed to that is told.
type pushed struct {
	text       []byte
	hold       bool
	rev        kv.Rev
	mine, then func()
	channel    string
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

// enqueue adds a message and charges hold for it. It fails once, for the first message that there is
// no room for, with errBehind or a *ratelimit.FullError: it and those after it are not told.
func (p *pushes) enqueue(m pushed, hold *ratelimit.Hold) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, subscribed := p.channels[m.channel]; p.over || m.channel != "" && !subscribed {
		return nil
	}
	size := p.bytes + len(m.text) + pushedCost
	if p.bytes > maxPushed {
		err = errBehind
	} else if more := size/chargeStep*chargeStep - p.charged; more > 0 {
		if err = hold.Grow(ratelimit.Watches, int64(more)); err == nil {
			p.charged += more
		}
	}
	if err != nil {
		p.over = true
		return err
	}
	p.list, p.bytes = append(p.list, m), size
	return nil
}

// takenLocked notes that size bytes of messages do not wait any more.
func (p *pushes) takenLocked(size int, hold *ratelimit.Hold) {
	p.bytes -= size
	if less := p.charged - p.bytes/chargeStep*chargeStep; less > 0 {
		hold.Shrink(ratelimit.Watches, int64(less))
		p.charged -= less
	}
}

// pushText has a message sent. It may be called by anybody.
func (s *session) pushText(p *pushes, m pushed) {
	if err := p.enqueue(m, &s.hold); err != nil {
		s.server.opts.Logger.Warn("connection closed", "err", err, "peer", s.peer)
		s.abort(err)
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
	n, size := 0, 0
	for ; n < len(p.list) && len(b) < reactor.Piece && !(busy && p.list[n].hold); n++ {
		m := &p.list[n]
		size += len(m.text) + pushedCost
		do := m.then
		if m.rev != 0 && slices.Contains(p.tracked.own, m.rev) {
			do = m.mine
		} else {
			b = append(b, m.text...)
		}
		if do != nil {
			p.mu.Unlock()
			do()
			p.mu.Lock()
		}
	}
	p.takenLocked(size, &s.hold)
	if p.list = slices.Delete(p.list, 0, n); len(p.list) == 0 {
		p.list = nil
	} else if !(busy && p.list[0].hold) {
		s.sock.Wake()
	}
	return b
}

// dropLocked drops the messages that wait of which drop says so.
func (p *pushes) dropLocked(hold *ratelimit.Hold, drop func(*pushed) bool) {
	size := 0
	p.list = slices.DeleteFunc(p.list, func(m pushed) bool {
		if !drop(&m) {
			return false
		}
		size += len(m.text) + pushedCost
		return true
	})
	p.takenLocked(size, hold)
}

// told has the messages of subscriptions that wait stand before the next reply, which says that there are
// no more of some.
func (s *session) told() {
	p := s.what.Load()
	if p == nil {
		return
	}
	var texts []byte
	p.mu.Lock()
	p.dropLocked(&s.hold, func(m *pushed) bool {
		if m.hold || m.then != nil {
			return false
		}
		texts = append(texts, m.text...)
		return true
	})
	p.mu.Unlock()
	if len(texts) > 0 {
		s.enter(reply{text: texts})
	}
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
	p := s.what.Load()
	if p != nil {
		p.mu.Lock()
		p.over = true // who still tells it something charges nothing
		p.mu.Unlock()
	}
	s.hold.Shrink(ratelimit.Watches, s.hold.Held(ratelimit.Watches))
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
