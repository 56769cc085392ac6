package reactor

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/web/tlsconn"
)

var (
	// ErrClosed is returned by Adopt once the reactor was closed, and is what
	// Handler.Closed is given then.
	ErrClosed = errors.New("the reactor is closed")
	// ErrStalled is what Handler.Closed is given when a peer has read nothing for
	// as long as Options.WriteTimeout while something was to be written.
	ErrStalled = errors.New("the peer does not read")
)

// Piece is about how many bytes Handler.Fill is to return at once. A whole
// message may exceed it.
const Piece = 64 << 10

// linger is how long a connection that is finished waits for the peer to close
// it, so that the last bytes are not lost to a reset.
const linger = time.Second

// A Handler is what a connection is for. The reactor calls one method at a time,
// Closed last and once. No method may wait, or keep a lock that Wake's callers
// hold; none may keep the slices it is given.
type Handler interface {
	// Receive is given what the peer sent. The bytes are valid, and may be
	// changed, until it returns.
	Receive(p []byte)
	// Fill appends what is to be sent next to b, which may not be empty, about
	// Piece bytes at most, and returns it. It is called after Socket.Wake, when
	// what it returned before is written, and at the time again, unless that is
	// zero, even if the socket is not woken. If it appended nothing, there is
	// nothing to send for now.
	Fill(b []byte, now time.Time) (filled []byte, again time.Time)
	// Heavy reports whether the next Fill may take long, such as to read much of
	// the state: then it is called elsewhere, and the loop serves others meanwhile.
	Heavy() bool
	// Unsent is told how many bytes of what Fill returned are kept because the peer
	// does not read, whenever that changes. If it fails the connection is closed at
	// once, with that error.
	Unsent(n int) error
	// Closed is told that the connection is closed: err is nil if Finish was
	// called and everything was written, io.EOF if the peer left.
	Closed(err error)
}

// An Answerer is a Handler that may still have something to say to a peer that sends nothing
// more, such as answers to what it has asked.
type Answerer interface {
	Handler
	// Ended is told that the peer has closed its sending side, once all before is read. If it
	// returns true the connection stays open until Finish or Abort; otherwise it is closed at once.
	Ended() bool
	// Stays reports whether a connection whose peer has closed its sending side stays open
	// while Pause stops reading.
	Stays() bool
}

// A Holder is a Handler that accounts for the memory that is held to read from the peer and to write
// to it, beside what Unsent is told. Only connections over TLS hold some.
type Holder interface {
	Handler
	// Holds is told about how many bytes that is, whenever it changes: of an idle connection TLSCost and
	// what the peer's certificates take. If it fails the connection is closed at once, with that error.
	Holds(n int) error
}

// TLSCost is about what TLS takes of memory for an idle connection on a loop, in bytes.
const TLSCost = 9 << 10

// A Priority says which sockets have a turn first. The turns of one priority are few before those of
// another are looked at: none waits for ever.
type Priority uint8

const (
	// Answers is for those who wait for something that they have asked for, and for what peers send.
	Answers Priority = iota
	// Events is for those who are told something that they have not asked for now.
	Events
	// Endings is for those who are told, when nothing else is to be done, that nothing more will come.
	// Where there is always something else they have a smaller share.
	Endings

	priorities = iota
)

// A Socket is an adopted connection, as its Handler sees it. Wake and WakeAs are safe for
// concurrent use and may be called at any time, even after the end; the others
// are for the Handler's methods, and are safe for concurrent use too.
type Socket interface {
	// Wake has Fill called soon, with priority Answers. It never waits.
	Wake()
	// WakeAs is Wake with another priority.
	WakeAs(p Priority)
	// Finish closes the connection once everything that Fill has returned, and
	// what the call that is running returns, is written. Fill is not called again.
	Finish()
	// HandOver gives the connection away once everything that Fill has returned, and what
	// the call that is running returns, is written: taker is called with it instead of
	// Handler.Closed, and must not wait. What Receive has not used is the Handler's to pass
	// on; it may get more until taker is called. Fill is not called again. Only the Handler's
	// methods may call this.
	HandOver(taker func(net.Conn))
	// Abort closes the connection at once; Handler.Closed is given err.
	Abort(err error)
	// Pause stops, or resumes, reading from the peer. One that leaves meanwhile is
	// noticed: what it has sent before is not read any more then.
	Pause(stop bool)
}

// Options configure a Reactor. The zero value of each field is its default.
type Options struct {
	// Loops is the number of goroutines that write; one fewer than GOMAXPROCS, which
	// leaves a processor to writers, and at least one.
	Loops int
	// WriteTimeout is how long a peer may read nothing while something is to be
	// written; 30 seconds.
	WriteTimeout time.Duration
	// Short reports whether memory is short: then a peer may read nothing for
	// ShortTimeout only; 5 seconds. It is called often; nil is never.
	Short        func() bool
	ShortTimeout time.Duration
	// SendBuffer is what the kernel may hold for a peer that does not read, in
	// bytes; 128 KiB. If it is negative the kernel decides.
	SendBuffer int
	// Goroutines has every connection served by a pair of goroutines.
	Goroutines bool
}

func (o Options) withDefaults() Options {
	if o.Loops == 0 {
		o.Loops = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.Short == nil {
		o.Short = func() bool { return false }
	}
	if o.ShortTimeout == 0 {
		o.ShortTimeout = 5 * time.Second
	}
	if o.SendBuffer == 0 {
		o.SendBuffer = 128 << 10
	}
	return o
}

// writeLimit returns how long a peer may read nothing now, and how often that is looked
// at.
func (o *Options) writeLimit() (now, poll time.Duration) {
	poll = min(o.WriteTimeout, o.ShortTimeout)
	if o.Short() {
		return poll, poll
	}
	return o.WriteTimeout, poll
}

// A Reactor owns adopted connections. It is safe for concurrent use.
type Reactor struct {
	opts    Options
	loops   []*loop // none until they are needed
	next    int     // the loop that gets the next connection, guarded by mu
	heavy   heavy
	open    atomic.Int64
	adopted atomic.Uint64
	stalled atomic.Uint64

	// looping counts the loops, running all other goroutines.
	looping, running sync.WaitGroup
	mu               struct {
		sync.Mutex
		closed bool
		pairs  map[*pair]struct{}
	}
}

// New returns a reactor, which must be closed. Nothing runs before the first
// connection comes.
func New(opts Options) *Reactor {
	r := &Reactor{opts: opts.withDefaults()}
	r.heavy.reactor = r
	r.mu.pairs = make(map[*pair]struct{})
	return r
}

// Adopt takes conn over, whatever it returns, and has it served by the Handler
// that handler returns for its Socket. early is what the peer has sent already, in clear text.
// It fails with ErrClosed, or where the system refuses a descriptor.
func (r *Reactor) Adopt(conn net.Conn, early []byte, handler func(Socket) Handler) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.closed {
		_ = conn.Close()
		return ErrClosed
	}
	r.adopted.Add(1)
	if tcp := r.polled(conn); tcp != nil {
		return r.adoptLocked(conn, tcp, early, handler)
	}
	r.adoptPairLocked(unwrap(conn), early, handler)
	return nil
}

// Polls reports whether conn would be served by a loop, not by goroutines of its own.
func (r *Reactor) Polls(conn net.Conn) bool { return r.polled(conn) != nil }

// polled returns the connection that a loop would own for conn, nil if goroutines would serve it.
func (r *Reactor) polled(conn net.Conn) *net.TCPConn {
	conn = unwrap(conn)
	if secured, ok := conn.(*tlsconn.Conn); ok && secured.Ready() {
		conn = tlsconn.Under(conn)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok || !canPoll || r.opts.Goroutines {
		return nil
	}
	return tcp
}

// unwrap returns the connection within those that only look on.
func unwrap(conn net.Conn) net.Conn {
	for {
		c, ok := conn.(interface{ UnsafeConn() net.Conn })
		if !ok {
			return conn
		}
		conn = c.UnsafeConn()
	}
}

// Len returns how many connections are open.
func (r *Reactor) Len() int { return int(r.open.Load()) }

// Adopted counts the connections there ever were.
func (r *Reactor) Adopted() uint64 { return r.adopted.Load() }

// Stalled counts the connections that were closed because their peer did not
// read.
func (r *Reactor) Stalled() uint64 { return r.stalled.Load() }

// Close closes all connections, and waits until every Handler was told. It may
// be called twice.
func (r *Reactor) Close() {
	r.mu.Lock()
	first := !r.mu.closed
	r.mu.closed = true
	for p := range r.mu.pairs {
		p.Abort(ErrClosed)
	}
	r.mu.Unlock()
	if first {
		for _, l := range r.loops {
			l.close()
		}
	}
	r.looping.Wait()
	r.running.Wait()
}
