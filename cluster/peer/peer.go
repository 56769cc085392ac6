package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv/wake"
)

const (
	// minBackoff and maxBackoff bound the time until a node is dialled again.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
	// precedence is how long the node with the higher id leaves the first dial to the other.
	precedence = 100 * time.Millisecond
)

// A peer is what the mesh knows of one other node.
type peer struct {
	mesh   *Mesh
	id     ID
	ctx    context.Context // ends when the node is removed, or the mesh is closed
	cancel context.CancelCauseFunc
	wake   wake.Chan // tells the dialler that a connection ended, or that the address is another
	log    throttle  // of failed dials
	counts counters
	// after, if there is one, is closed when the last callback for the node has returned from
	// before it was removed and added again.
	after <-chan struct{}
	// link is the connection; it stays until its last callback has returned.
	link atomic.Pointer[link]
	mu   struct {
		sync.Mutex
		addr    string
		why     error     // why the node is not reachable
		since   time.Time // when it became reachable, or ceased to be
		up      bool
		streams int // those it has open to this node
		life    life
	}
}

func (m *Mesh) newPeer(id ID, addr string, after <-chan struct{}) *peer {
	p := &peer{mesh: m, id: id, wake: wake.New(), after: after}
	p.ctx, p.cancel = context.WithCancelCause(m.ctx)
	p.mu.addr, p.mu.why, p.mu.since = addr, ErrUnreachable, time.Now()
	return p
}

func (p *peer) address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.addr
}

func (p *peer) setAddress(addr string) {
	p.mu.Lock()
	p.mu.addr = addr
	p.mu.Unlock()
	p.wake.Wake()
}

// connected returns the link unless it has ended.
func (p *peer) connected() *link {
	if l := p.link.Load(); l != nil && !l.ended() {
		return l
	}
	return nil
}

// fits decides whether s may be, beside the connection that there is. Both ends decide alike:
// of two links the one that the lower id dialled stays, and of two of the same end the newer,
// because an end dials only when it has none.
func (p *peer) fits(s *session) error {
	old := p.connected()
	switch {
	case old == nil:
		return nil
	case old.hello.Incarnation != s.hello.Incarnation:
		return fmt.Errorf("%w: id %v, connected to %s", ErrDuplicate, p.id, old.hello.Remote)
	case s.kind == streamKind:
		return nil
	case s.dialed, old.dialed && p.mesh.opts.ID < p.id:
		return errRedundant
	}
	return nil
}

// install makes l the connection, after the last callback of the one before.
func (p *peer) install(l *link) error {
	if p.after != nil {
		<-p.after
	}
	p.mu.Lock()
	err := p.fits(l.session)
	if p.ctx.Err() != nil {
		err = context.Cause(p.ctx)
	}
	var old *link
	if err == nil {
		old = p.link.Swap(l)
	}
	p.mu.Unlock()
	if old != nil {
		old.close(errReplaced)
		<-old.done
	}
	return err
}

// remove ends the peer and returns what is closed after its last callback, nil if there is none.
func (p *peer) remove() <-chan struct{} {
	p.mu.Lock()
	p.cancel(errRemoved)
	l := p.link.Load()
	p.mu.Unlock()
	if l != nil {
		return l.done
	}
	return p.after
}

// up tells that l is connected.
func (p *peer) up(l *link) {
	p.counts.connects.Add(1)
	p.mu.Lock()
	p.mu.up, p.mu.since, p.mu.why = true, time.Now(), nil
	another := p.mu.life.met(l.hello.Incarnation)
	p.mu.Unlock()
	p.log.reset()
	p.mesh.opts.Logger.Info("peer connected", "peer", p.id, "remote", l.hello.Remote, "dialed", l.dialed, "incarnation", l.hello.Incarnation)
	if another {
		p.ended()
	}
	p.mesh.opts.Reachable(p.id)
}

// down tells that l has ended.
func (p *peer) down(l *link, why error) {
	p.mu.Lock()
	p.mu.up, p.mu.since, p.mu.why = false, time.Now(), why
	p.mu.life.lost(why)
	p.mu.Unlock()
	p.mesh.opts.Logger.Info("peer disconnected", "peer", p.id, "remote", l.hello.Remote, "error", why)
	p.mesh.opts.Unreachable(p.id)
}

// keep is the goroutine that dials the node whenever there is no connection.
func (p *peer) keep() {
	if p.mesh.opts.ID > p.id {
		p.sleep(precedence)
	}
	next := minBackoff
	for p.ctx.Err() == nil {
		wait := next
		if p.connected() != nil || p.address() == "" {
			select {
			case <-p.wake:
			case <-p.ctx.Done():
			}
			wait, next = minBackoff, minBackoff
		} else if lasted, err := p.connect(); lasted > maxBackoff {
			wait, next = minBackoff, minBackoff
		} else {
			p.noteRefusal(err)
			p.note(err)
			next = min(2*wait, maxBackoff*4/5)
		}
		p.sleep(wait + rand.N(wait/4))
	}
}

func (p *peer) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.ctx.Done():
	}
}

// connect dials the node and serves the connection until it ends. It returns how long it lasted,
// and why there was none.
func (p *peer) connect() (lasted time.Duration, err error) {
	s, err := p.dial(p.ctx, linkKind)
	if err != nil {
		return 0, err
	}
	defer s.raw.Close()
	l := newLink(s)
	if err := p.install(l); err != nil {
		s.refuse(err)
		return 0, err
	}
	if err = s.welcome(); err != nil {
		l.close(err)
	}
	began := time.Now()
	l.run()
	return time.Since(began), err
}

// note keeps and logs why the node could not be dialled.
func (p *peer) note(err error) {
	if err == nil || errors.Is(err, errRedundant) || p.ctx.Err() != nil {
		return
	}
	p.counts.failures.Add(1)
	p.mu.Lock()
	if !p.mu.up {
		p.mu.why = err
	}
	addr := p.mu.addr
	p.mu.Unlock()
	if suppressed, ok := p.log.allow(time.Now()); ok {
		p.mesh.opts.Logger.Warn("peer cannot be connected", "peer", p.id, "addr", addr, "error", err, "suppressed", suppressed)
	}
}
