package tlsconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"sync/atomic"
	"time"
)

// A Conn is one end of a TLS connection. Unlike that of a tls.Conn its Close never waits: the peer is
// told that nothing more comes if the kernel has room for that at once.
//
// Once the handshake is done the connection can be detached. From then on Read reads what Feed was
// given and fails with ErrAgain where that ends, in the middle of a record as well, and what is written
// is kept until TakeOut. One goroutine at a time may use a Conn that is detached.
type Conn struct {
	*tls.Conn
	wire transport
	cost int // of the peer's certificates
}

// Server returns the server's end of TLS over conn, which belongs to it from then on. Handshake or
// HandshakeContext comes before all else.
func Server(conn net.Conn, config *tls.Config) *Conn {
	c := &Conn{wire: transport{Conn: conn, left: HandshakeMax}}
	c.Conn = tls.Server(&c.wire, config)
	return c
}

// HandshakeMax is how many bytes a peer may send for its handshake, which TLS keeps until it is done.
const HandshakeMax = 32 << 10

// ErrHandshakeTooLarge is returned by Handshake where the peer would send more than HandshakeMax.
var ErrHandshakeTooLarge = errors.New("the peer sends too much for a handshake")

// Handshake does the handshake.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext does the handshake, and closes the connection if ctx ends before.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if err := c.Conn.HandshakeContext(ctx); err != nil {
		return err
	}
	c.wire.left = math.MaxInt
	c.cost = chainCost(c.ConnectionState())
	return nil
}

// CertificateCost returns about how many bytes of memory are kept of the certificates that the peer has
// shown.
func (c *Conn) CertificateCost() int { return c.cost }

// Close implements net.Conn. Where the connection is detached it does nothing.
func (c *Conn) Close() error {
	if c.wire.detached {
		return nil
	}
	c.wire.closing.Store(true)
	return c.Conn.Close()
}

// Ready reports whether the connection can be detached: the handshake is done.
func (c *Conn) Ready() bool { return !c.wire.detached && c.ConnectionState().HandshakeComplete }

// Detach takes the connection away and returns it. No other method may run meanwhile.
func (c *Conn) Detach() net.Conn {
	conn := c.wire.Conn
	c.wire.Conn, c.wire.detached = nowhere{}, true
	return conn
}

// Attach has a Conn that is detached use conn from now on, after what was received and not fed.
func (c *Conn) Attach(conn net.Conn, unused []byte) {
	c.wire.in, c.wire.Conn, c.wire.detached = bytes.Clone(unused), conn, false
}

// Feed has the next calls of Read read records, which must not change until one fails with ErrAgain.
func (c *Conn) Feed(records []byte) { c.wire.in = records }

// AppendTo has records that are written appended to b, until TakeOut.
func (c *Conn) AppendTo(b []byte) { c.wire.out = append(b, c.wire.out...) }

// TakeOut returns the records that were written.
func (c *Conn) TakeOut() []byte {
	b := c.wire.out
	c.wire.out = nil
	return b
}

// Pending returns how many bytes of records were written and not taken.
func (c *Conn) Pending() int { return len(c.wire.out) }

// Room returns the size of the buffer for records: TLS keeps the largest that it has needed.
func (c *Conn) Room() int { return c.wire.room }

// A transport carries the records of one TLS connection: over the connection or, once that is
// detached, in memory.
type transport struct {
	net.Conn
	// in is what is read first, out what was written in memory.
	in, out []byte
	// room is the largest buffer that was read into.
	room int
	// left is how many bytes may still be read.
	left     int
	detached bool
	closing  atomic.Bool
}

// ErrAgain says that all that was fed is read.
var ErrAgain error = again{}

type again struct{}

func (again) Error() string { return "all that was fed is read" }
func (again) Timeout() bool { return false }

// Temporary has crypto/tls go on where it was with the next Read.
func (again) Temporary() bool { return true }

// Read implements net.Conn.
func (t *transport) Read(p []byte) (n int, err error) {
	t.room = max(t.room, len(p))
	switch {
	case len(t.in) > 0:
		n = copy(p, t.in)
		t.in = t.in[n:]
		return n, nil
	case t.detached:
		return 0, ErrAgain
	case t.left == 0:
		return 0, ErrHandshakeTooLarge
	}
	n, err = t.Conn.Read(p[:min(len(p), t.left)])
	t.left -= n
	return n, err
}

// Write implements net.Conn. What is written while the connection is closed, an alert, does not wait.
func (t *transport) Write(p []byte) (int, error) {
	switch {
	case t.detached:
		t.out = append(t.out, p...)
		return len(p), nil
	case t.closing.Load():
		return tryWrite(t.Conn, p)
	}
	return t.Conn.Write(p)
}

// NetConn returns the connection under TLS.
func (t *transport) NetConn() net.Conn { return t.Conn }

// CloseWrite shuts down the writing side, where there is such a thing.
func (t *transport) CloseWrite() error {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}

// Under returns the connection that conn speaks TLS over, or conn if it does not.
func Under(conn net.Conn) net.Conn {
	for {
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = outer.NetConn()
	}
}

// nowhere is the connection of a transport without one.
type nowhere struct{ net.Conn }

func (nowhere) Close() error                     { return nil }
func (nowhere) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (nowhere) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (nowhere) SetDeadline(time.Time) error      { return nil }
func (nowhere) SetReadDeadline(time.Time) error  { return nil }
func (nowhere) SetWriteDeadline(time.Time) error { return nil }

// tryWait is how long a write may take that should not wait, where the system cannot be asked for
// that.
const tryWait = 10 * time.Millisecond

// tryLater writes p to conn within tryWait.
func tryLater(conn net.Conn, p []byte) (int, error) {
	if err := conn.SetWriteDeadline(time.Now().Add(tryWait)); err != nil {
		return 0, err
	}
	return conn.Write(p)
}
