package web

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/ratelimit"
	"keywatch/web/api"
	"keywatch/web/tlsconn"
)

// A handshakeResult is how a TLS handshake ended.
type handshakeResult int

const (
	handshakeDone handshakeResult = iota
	// handshakeClear: the client does not speak TLS.
	handshakeClear
	// handshakeLate: it took longer than the head of a request may.
	handshakeLate
	// handshakeLeft: the client left before the end.
	handshakeLeft
	// handshakeRejected: the client does not accept what the server offers, such as its certificate.
	handshakeRejected
	// handshakeUntrusted: the server does not accept the client's certificate.
	handshakeUntrusted
	// handshakeFailed is every other failure.
	handshakeFailed
	handshakeResults
)

// handshakeLabels are what metrics call them.
var handshakeLabels = [handshakeResults]string{
	handshakeDone: "ok", handshakeClear: "clear_text", handshakeLate: "timeout", handshakeLeft: "left",
	handshakeRejected: "rejected", handshakeUntrusted: "client_certificate", handshakeFailed: "failed",
}

// handshakes counts TLS handshakes by how they ended.
type handshakes [handshakeResults]atomic.Int64

var descHandshakes = prometheus.NewDesc("keywatch_tls_handshakes_total", "TLS handshakes, by how they ended.", []string{"result"}, nil)

func (h *handshakes) collect(ch chan<- prometheus.Metric) {
	for result := range h {
		ch <- prometheus.MustNewConstMetric(descHandshakes, counter, float64(h[result].Load()), handshakeLabels[result])
	}
}

// handshakeResultOf returns how a handshake ended that returned err.
func handshakeResultOf(err error) handshakeResult {
	if err == nil {
		return handshakeDone
	}
	if clear, ok := errors.AsType[tls.RecordHeaderError](err); ok && clear.Conn != nil {
		return handshakeClear
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return handshakeUntrusted
	}
	failed, ok := errors.AsType[net.Error](err)
	op, _ := errors.AsType[*net.OpError](err)
	switch {
	case ok && failed.Timeout():
		return handshakeLate
	case op != nil && op.Op == "remote error":
		return handshakeRejected
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), op != nil && (op.Op == "read" || op.Op == "write"):
		return handshakeLeft
	}
	return handshakeFailed
}

// shakeHands does the handshake of a connection over TLS, which is part of reading its first
// request. Nothing can be answered where it fails.
func (c *conn) shakeHands() error {
	err := c.tls().Handshake()
	result := handshakeResultOf(err)
	c.conns.handshakes[result].Add(1)
	if result == handshakeDone {
		c.set(phaseReading) // the handshake counts as part of it
		return c.chargeChain()
	}
	if c.conns.debug("TLS handshake failed", "peer", c.RemoteAddr(), "err", err); result == handshakeLate {
		return err
	}
	if clear, ok := errors.AsType[tls.RecordHeaderError](err); ok && clear.Conn != nil && asksClearly(clear.RecordHeader) {
		c.answerClear(clear.Conn)
	}
	return net.ErrClosed
}

// chargeChain charges the certificates that the client has shown. Where there is no room for them the
// connection ends.
func (c *conn) chargeChain() error {
	n := c.tls().CertificateCost()
	if n == 0 || c.short != nil {
		return nil
	}
	err := c.hold.Grow(ratelimit.Connections, int64(n))
	if err == nil {
		return nil
	}
	c.conns.refuse(api.FailureOf(err).Code)
	return net.ErrClosed
}

// asksClearly reports whether a client that does not speak TLS has begun a request of HTTP.
func asksClearly(begin [5]byte) bool {
	for _, c := range begin[:3] {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

// notTLS is what a client is told that asks in clear text.
var notTLS = &api.Failure{Code: api.CodeBadRequest, Detail: "the client sent an HTTP request to a port that speaks TLS: use https://"}

// answerClear tells a client in clear text that this is no port for it.
func (c *conn) answerClear(nc net.Conn) {
	c.conns.refuse(notTLS.Code)
	if nc.SetDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	if _, err := nc.Write(fixedAnswer(notTLS)); err != nil {
		return
	}
	if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, nc, maxHead) // closed with something unread, the answer would be lost
	}
}

// overTLS reports whether the connection is over TLS.
func (c *conn) overTLS() bool { return c.tls() != nil }

// tls returns the connection's end of TLS, nil if it is in clear text.
func (c *conn) tls() *tlsconn.Conn {
	secured, _ := c.Conn.(*tlsconn.Conn)
	return secured
}
