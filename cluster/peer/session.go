package peer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

// A session is one connection, from the hellos on.
type session struct {
	raw    net.Conn // closed to end the connection: unlike TLS it then waits for nothing
	conn   net.Conn // raw, or TLS over it
	leaf   *x509.Certificate
	dialed bool // by this end
	kind   kind
	hello  Hello // the other node's
	peer   *peer // that node
}

// dial connects to p and exchanges hellos. The other end then waits for welcome.
func (p *peer) dial(ctx context.Context, k kind) (*session, error) {
	addr := p.address()
	if addr == "" {
		return nil, fmt.Errorf("%w: it has no address", ErrUnreachable)
	}
	limited, cancel := context.WithTimeout(ctx, p.mesh.opts.DialTimeout)
	defer cancel()
	raw, err := p.mesh.opts.Dial(limited, addr)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	s := &session{raw: raw, conn: raw, dialed: true, kind: k, peer: p}
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	if err := p.mesh.offer(s, addr); err != nil {
		raw.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return s, nil
}

// offer is the dialling end of the hellos.
func (m *Mesh) offer(s *session, addr string) error {
	if err := m.secure(s, addr); err != nil {
		return err
	}
	if err := m.sendHello(s, s.peer.id); err != nil {
		return late(err)
	}
	if err := m.readHello(s); err != nil {
		return explain(err)
	}
	err := m.judge(s)
	if err != nil {
		s.refuse(err)
	}
	return err
}

// answer is the accepting end of the hellos. It returns once the other end has welcomed this one.
func (m *Mesh) answer(s *session) error {
	if err := m.secure(s, ""); err != nil {
		return err
	}
	if err := m.readHello(s); err != nil {
		return err
	}
	if s.hello.kind == askKind {
		s.kind = askKind
		return m.reply(s)
	}
	if err := m.judge(s); err != nil {
		s.refuse(err)
		return err
	}
	if err := m.sendHello(s, 0); err != nil {
		return late(err)
	}
	if _, err := readRecord(s.conn, welcomeRecord); err != nil {
		return err
	}
	return s.raw.SetDeadline(time.Time{})
}

// secure bounds the time of the hellos and does the TLS handshake.
func (m *Mesh) secure(s *session, addr string) error {
	if m.opts.Insecure {
		if err := loopback(s.raw.RemoteAddr()); err != nil {
			return err
		}
	}
	tune(s.raw, m.opts.Silence)
	if err := s.raw.SetDeadline(time.Now().Add(m.opts.HelloTimeout)); err != nil {
		return err
	}
	return m.security.wrap(s, addr)
}

func (m *Mesh) sendHello(s *session, to ID) error {
	h := Hello{
		ID: m.opts.ID, Cluster: m.clusterID(), Incarnation: m.incarnation, Info: m.opts.Info(),
		min: minVersion, max: maxVersion, kind: s.kind, to: to,
	}
	if len(h.Info) > MaxInfo {
		return fmt.Errorf("%w: info of %d bytes, at most %d are allowed", ErrHello, len(h.Info), MaxInfo)
	}
	return writeRecord(s.conn, helloRecord, h.encode())
}

func (m *Mesh) readHello(s *session) error {
	body, err := readRecord(s.conn, helloRecord)
	if err != nil {
		return err
	}
	s.hello, err = decodeHello(body)
	s.hello.Remote = s.raw.RemoteAddr().String()
	return err
}

// judge decides whether the node that said hello on s may connect.
func (m *Mesh) judge(s *session) error {
	h, own := s.hello, m.clusterID()
	if err := h.check(); err != nil {
		return err
	}
	switch {
	case h.Cluster != "" && own != "" && h.Cluster != own:
		return fmt.Errorf("%w: %q is not %q", ErrCluster, h.Cluster, own)
	case !s.dialed && h.to != m.opts.ID:
		return fmt.Errorf("%w: node %v was dialled, this is %v", ErrIdentity, h.to, m.opts.ID)
	case h.ID == m.opts.ID:
		return fmt.Errorf("%w: %v", ErrSelf, h.ID)
	case s.dialed && h.ID != s.peer.id:
		return fmt.Errorf("%w: node %v was dialled, %v answered", ErrIdentity, s.peer.id, h.ID)
	case s.dialed && h.kind != s.kind:
		return fmt.Errorf("%w: an answer of kind %d", ErrHello, h.kind)
	}
	if err := m.opts.Accept(h); err != nil {
		return err
	}
	p, err := m.find(h.ID)
	if err != nil {
		return err
	}
	if s.dialed && p != s.peer {
		return errRemoved
	}
	if s.peer, s.kind = p, h.kind; s.kind == streamKind {
		tune(s.raw, m.opts.StreamTimeout)
	}
	if err := m.security.verify(s, p.address()); err != nil {
		return err
	}
	return p.fits(s)
}

// welcome tells the accepting end that its answer was accepted.
func (s *session) welcome() error {
	if err := writeRecord(s.conn, welcomeRecord, nil); err != nil {
		return late(err)
	}
	return s.raw.SetDeadline(time.Time{})
}

// refuse tells the other end why it was refused, as far as that is possible.
func (s *session) refuse(err error) {
	typ := uint8(refusedRecord)
	if errors.Is(err, errRedundant) {
		typ = redundantRecord
	}
	_ = writeRecord(s.conn, typ, textOf(err)) // the connection ends in any case
}
