package resp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/web/resp/wire"
	"keywatch/web/tlsconn"
)

const (
	// handshakeCost is about what a connection over TLS takes in memory until a loop serves it.
	handshakeCost = 64 << 10
	// clearTime is how long an answer in clear text may take on a port that speaks TLS, clearMost how much
	// of what the client has sent is read meanwhile, in bytes.
	clearTime, clearMost = time.Second, 16 << 10
	// notTLS is that answer.
	notTLS = "ERR this port speaks TLS: connect with TLS, such as by redis-cli --tls"
)

// secure does the handshake of a connection, and has it served then.
func (v *Server) secure(s *session, conn net.Conn) {
	secured := tlsconn.Server(conn, v.opts.TLS)
	ctx, cancel := context.WithTimeout(v.shaking, v.opts.HandshakeTime)
	err := secured.HandshakeContext(ctx)
	cancel()
	v.opts.Shaken(conn.RemoteAddr(), err)
	if err != nil {
		answerClear(err)
		_ = secured.Close()
		v.leave(s)
		return
	}
	if cert := secured.ClientCert(); cert != nil && s.who.Load() != nil {
		s.proof = &proof{cert: cert}
		s.certify()
	}
	v.serve(s, secured)
}

// answerClear tells a client of Redis that does not speak TLS that this port does.
func answerClear(err error) {
	clear, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || clear.Conn == nil || !speaksRESP(clear.RecordHeader[0]) || clear.Conn.SetDeadline(time.Now().Add(clearTime)) != nil {
		return
	}
	if _, err := clear.Conn.Write(wire.AppendError(nil, notTLS)); err != nil {
		return
	}
	if half, ok := clear.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, clear.Conn, clearMost) // closed with something unread, the answer would be lost
	}
}

// speaksRESP reports whether a command of RESP may begin so.
func speaksRESP(first byte) bool {
	return first == '*' || first >= 'A' && first <= 'Z' || first >= 'a' && first <= 'z'
}

// A proof is the certificate that a client has shown.
type proof struct {
	cert *auth.ClientCert
	// failed is why it proves nothing; nil if it does.
	failed error
}

// certify makes the session one of whom the client's certificate proves, or of none.
func (s *session) certify() {
	table := s.server.opts.Door.Table()
	who := table.Anonymous()
	if s.proof != nil {
		proved, err := table.ByCertificate(s.proof.cert)
		if s.proof.failed = err; err == nil {
			who = proved
		}
	}
	s.become(who)
}

// awaitsUser begins a wait if the client's certificate has no user that is known here: another server may have given
// one its name a moment ago. It returns nil if there is nothing to wait for.
func (s *session) awaitsUser(cmd *command) *kv.Barrier {
	if s.proof == nil || s.fresh || cmd == nil || cmd.name == "auth" || !auth.MayBeNew(s.uncertified()) {
		return nil
	}
	return s.server.opts.Door.Table().CatchUp(s)
}

// uncertified returns why the client's certificate proves nothing, which is not as good as none: it is
// looked at again, because a user may have a name of it now.
func (s *session) uncertified() error {
	if s.proof == nil || s.proof.failed == nil || s.who.Load().Kind() != auth.Anonymous {
		return nil
	}
	s.certify()
	if s.fresh && auth.MayBeNew(s.proof.failed) && s.barrier.Err() != nil {
		return s.barrier.Err() // it is not known
	}
	return s.proof.failed
}
