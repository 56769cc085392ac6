package peer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A Mesh is one node's connections to the others. Its methods are safe for concurrent use.
type Mesh struct {
	opts        Options
	security    security
	incarnation uint64
	limiter     *rate.Limiter // of all streams that this node sends
	handshakes  handshakes
	refused     atomic.Uint64
	asked       atomic.Int64 // questions that are being answered
	cluster     atomic.Pointer[string]
	log         throttle // of connections that were refused

	ctx     context.Context // ends with Close
	cancel  context.CancelCauseFunc
	running sync.WaitGroup // begun under mu while it is not closed, or by one that is running
	mu      struct {
		sync.Mutex
		peers map[ID]*peer
		// leaving has what is closed after the last callback for a node that was removed.
		leaving map[ID]<-chan struct{}
		closed  bool
	}
}

// Open starts a mesh: from now on nodes that were added can connect.
func Open(opts Options) (*Mesh, error) {
	m, err := open(opts)
	if err != nil && opts.Listener != nil {
		opts.Listener.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("open peers: %w", err)
	}
	return m, nil
}

func open(opts Options) (m *Mesh, err error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m = &Mesh{opts: opts.withDefaults()}
	m.SetCluster(opts.Cluster)
	if m.security, err = newSecurity(opts); err != nil {
		return nil, err
	}
	limit := rate.Inf
	if m.opts.StreamRate > 0 {
		limit = rate.Limit(m.opts.StreamRate)
	}
	m.limiter = rate.NewLimiter(limit, pieceSize)
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	m.incarnation = binary.BigEndian.Uint64(random[:])
	m.ctx, m.cancel = context.WithCancelCause(context.Background())
	m.mu.peers, m.mu.leaving = make(map[ID]*peer), make(map[ID]<-chan struct{})
	m.handshakes.limit = m.opts.Handshakes
	if opts.Listener != nil {
		m.running.Go(m.accept)
	}
	return m, nil
}

// Incarnation returns the number that tells this mesh from any other, before and after it.
func (m *Mesh) Incarnation() uint64 { return m.incarnation }

// Addr returns the address at which connections are accepted, nil without a listener.
func (m *Mesh) Addr() net.Addr {
	if m.opts.Listener == nil {
		return nil
	}
	return m.opts.Listener.Addr()
}

// Add makes a node known and connects to it, at addr (host:port). With an empty addr it is
// not dialled, but may connect. A node that is known gets another address, which counts when it
// is dialled next. Add returns ErrSelf for this node's id and for 0, and ErrClosed.
func (m *Mesh) Add(id ID, addr string) error {
	if id == 0 || id == m.opts.ID {
		return fmt.Errorf("%w: %v", ErrSelf, id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		return ErrClosed
	}
	if p := m.mu.peers[id]; p != nil {
		p.setAddress(addr)
		return nil
	}
	p := m.newPeer(id, addr, m.mu.leaving[id])
	delete(m.mu.leaving, id)
	m.mu.peers[id] = p
	m.running.Go(p.keep)
	return nil
}

// Remove forgets a node and ends its connections. It does not wait: a callback for the node may
// still be running, and Unreachable is called after Remove has returned.
func (m *Mesh) Remove(id ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.mu.peers[id]
	if p == nil {
		return
	}
	delete(m.mu.peers, id)
	maps.DeleteFunc(m.mu.leaving, func(_ ID, done <-chan struct{}) bool { return isClosed(done) })
	if done := p.remove(); done != nil {
		m.mu.leaving[id] = done
	}
}

// find returns a node that was added, or ErrUnknown, or ErrClosed.
func (m *Mesh) find(id ID) (*peer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		return nil, ErrClosed
	}
	p := m.mu.peers[id]
	if p == nil {
		return nil, fmt.Errorf("%w: %v", ErrUnknown, id)
	}
	return p, nil
}

// Send queues a frame for a node and reports whether it was queued. It never waits: a frame is
// dropped if the node is not connected, if its class, which must be Control or Append, has no room,
// or if it is too large. The frames before it stay, so that what arrives has no gap but at its end, or
// where false was returned. A frame that was queued is lost if the connection ends. The body belongs
// to the mesh from then on: it is not changed, so one body may be sent to several nodes, and must not
// be changed by the caller.
func (m *Mesh) Send(id ID, class Class, body []byte) bool {
	p, err := m.find(id)
	if err != nil {
		return false
	}
	most := m.opts.MaxFrame
	if class == Control {
		most = pieceSize
	}
	if class != Control && class != Append {
		panic(fmt.Sprintf("peer: Send with %s", class))
	}
	if len(body) > most {
		if _, ok := p.log.allow(time.Now()); ok {
			m.opts.Logger.Error("peer frame not sent", "peer", id, "error", fmt.Errorf("%w: %d bytes of class %s, at most %d are allowed", ErrFrameSize, len(body), class, most))
		}
	} else if l := p.connected(); l != nil && l.send(class, body) {
		return true
	}
	p.counts.of[class-Control].dropped.Add(1)
	return false
}

// Close ends all connections and streams and waits for their callbacks. It may be called twice,
// but not from a callback.
func (m *Mesh) Close() error {
	m.mu.Lock()
	first := !m.mu.closed
	m.mu.closed = true
	m.mu.Unlock()
	m.cancel(ErrClosed) // first, so that who accepts knows why that ends
	var err error
	if first && m.opts.Listener != nil {
		err = m.opts.Listener.Close()
	}
	m.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}
