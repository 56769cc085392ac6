package tlsconn

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"
)

// A Conn is the server's end of a TLS connection. Unlike that of a tls.Conn its Close never
// waits: the peer is told that nothing more comes if the kernel has room for that at once.
type Conn struct {
	*tls.Conn
	wire transport
}

// Server returns the server's end of TLS over conn, which belongs to it from then on. The
// handshake is done by HandshakeContext, or by the first Read or Write.
func Server(conn net.Conn, config *tls.Config) *Conn {
	c := &Conn{wire: transport{Conn: conn}}
	c.Conn = tls.Server(&c.wire, config)
	return c
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.wire.closing.Store(true)
	return c.Conn.Close()
}

// A transport carries the records of one TLS connection.
type transport struct {
	net.Conn
	closing atomic.Bool
}

// NetConn returns the connection under TLS.
func (t *transport) NetConn() net.Conn { return t.Conn }

// Write implements net.Conn. What is written while the connection is closed, an alert, does not wait.
func (t *transport) Write(p []byte) (int, error) {
	if t.closing.Load() {
		return tryWrite(t.Conn, p)
	}
	return t.Conn.Write(p)
}

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
