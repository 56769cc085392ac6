package peer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// askTimeout bounds a question: the time from the hellos to the answer.
	askTimeout = 30 * time.Second
	// maxAsked bounds the questions of others that are answered at once.
	maxAsked = 16
)

// ErrAsked refuses a question beyond 16 at a time, or to a mesh that answers none.
var ErrAsked = errors.New("no more questions are answered")

// Ask asks the node at an address, which need not be known, for the answer to a question of at most
// 64 KiB, and returns what that node says about itself. It is for what is rare: it opens a connection of
// its own. A node of another cluster is asked as well, so the question must say what the answer
// depends on. It fails with ErrHello for a question that is too large, with ErrSelf for this node's
// own address, or with a RefusedError; ctx should have a deadline, and 30 s is the limit.
func (m *Mesh) Ask(ctx context.Context, addr string, question []byte) (Hello, []byte, error) {
	h, answer, err := m.ask(ctx, addr, question)
	if err != nil {
		return h, nil, fmt.Errorf("ask %s: %w", addr, err)
	}
	return h, answer, nil
}

func (m *Mesh) ask(ctx context.Context, addr string, question []byte) (Hello, []byte, error) {
	if len(question) > maxRecord {
		return Hello{}, nil, fmt.Errorf("%w: a question of %d bytes, at most %d are allowed", ErrHello, len(question), maxRecord)
	}
	limited, cancel := context.WithTimeout(ctx, m.opts.DialTimeout)
	defer cancel()
	raw, err := m.opts.Dial(limited, addr)
	if err != nil {
		return Hello{}, nil, fmt.Errorf("dial: %w", err)
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	defer context.AfterFunc(m.ctx, func() { raw.Close() })()
	s := &session{raw: raw, conn: raw, dialed: true, kind: askKind}
	answer, err := m.question(s, addr, question)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return s.hello, answer, err
}

// question is the dialling end.
func (m *Mesh) question(s *session, addr string, question []byte) ([]byte, error) {
	if err := m.secure(s, addr); err != nil {
		return nil, err
	}
	if err := m.sendHello(s, 0); err != nil {
		return nil, late(err)
	}
	if err := m.readHello(s); err != nil {
		return nil, explain(err)
	}
	err := s.hello.check()
	if err == nil && s.hello.ID == m.opts.ID {
		err = fmt.Errorf("%w: %v", ErrSelf, s.hello.ID)
	}
	if err == nil {
		err = m.security.verify(s, addr)
	}
	if err != nil {
		s.refuse(err)
		return nil, err
	}
	if err := s.raw.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return nil, err
	}
	if err := writeRecord(s.conn, questionRecord, question); err != nil {
		return nil, late(err)
	}
	return readRecord(s.conn, answerRecord)
}

// reply is the accepting end, once the other one has said hello.
func (m *Mesh) reply(s *session) error {
	err := s.hello.check()
	if err == nil {
		err = m.security.vouched(s)
	}
	if asked := m.asked.Add(1); err == nil && (asked > maxAsked || m.opts.Answer == nil) {
		err = ErrAsked
	}
	defer m.asked.Add(-1)
	if err != nil {
		s.refuse(err)
		return err
	}
	if err := m.sendHello(s, 0); err != nil {
		return late(err)
	}
	question, err := readRecord(s.conn, questionRecord)
	if err != nil {
		return err
	}
	if err := s.raw.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(m.ctx, askTimeout)
	defer cancel()
	answer, err := m.opts.Answer(ctx, s.hello, question)
	if err == nil && len(answer) > maxRecord {
		err = fmt.Errorf("%w: an answer of %d bytes", ErrHello, len(answer))
	}
	if err != nil {
		s.refuse(err)
		return nil // it was answered
	}
	return writeRecord(s.conn, answerRecord, answer)
}

// vouched checks that the certificate of s is for the id that its hello has, as far as it names one.
func (c security) vouched(s *session) error {
	if c.tokens && s.leaf.Subject.CommonName != s.hello.ID.String() {
		return fmt.Errorf("%w: hello says %v, the certificate %q", ErrIdentity, s.hello.ID, s.leaf.Subject.CommonName)
	}
	return nil
}

// SetCluster has this node belong to a cluster, once it has joined one. Connections that are there
// stay.
func (m *Mesh) SetCluster(id string) { m.cluster.Store(&id) }

// clusterID returns the id of this node's cluster.
func (m *Mesh) clusterID() string { return *m.cluster.Load() }

// Connected reports whether a node is connected, and since when that is so.
func (m *Mesh) Connected(id ID) (connected bool, since time.Time) {
	p, err := m.find(id)
	if err != nil {
		return false, time.Time{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.up, p.mu.since
}

// Twin returns the network address of a connected node that has an id and is another process than the one
// with an incarnation; empty if there is none.
func (m *Mesh) Twin(id ID, incarnation uint64) string {
	p, err := m.find(id)
	if err != nil {
		return ""
	}
	if l := p.connected(); l != nil && l.hello.Incarnation != incarnation {
		return l.hello.Remote
	}
	return ""
}
