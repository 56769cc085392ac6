package reactor

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/web/tlsconn"
)

const (
	// owedMax is how many bytes may wait to be sent that a peer has asked for which reads nothing, such as
	// answers to new keys.
	owedMax = 16 << 10
	// usualRoom is the buffer that is left of a handshake, which TLSCost has.
	usualRoom = 4 << 10
	// holdStep is in which steps a Holder is told, a power of two.
	holdStep = 1 << 10
)

// errOwed is the end of a peer that asks for more than it reads.
var errOwed = errors.New("the peer asks for new keys and does not read")

// A secured is the Handler of a socket that speaks TLS, and the Socket of the Handler that it serves
// in clear text. The peer's records are given to TLS once they are whole: what a peer has begun takes no
// more memory than it has sent, and all of it is counted.
type secured struct {
	Socket
	handler Handler
	conn    *tlsconn.Conn
	// early is what the Handler is to receive first, in clear text.
	early []byte
	// part is the beginning of a record.
	part []byte
	// failed is why nothing more can be read.
	failed error
	// ends has endFinish and endHandOver once the Handler has asked for them.
	ends atomic.Uint32
	// run is how many bytes TLS was given since it last had something for the Handler, held what the
	// Handler was told that TLS holds.
	run, held int32
	// unsent is what the socket keeps, added what records add to what the last Fill returned.
	unsent, added int32
	begun         bool
	taker         func(net.Conn)
}

const (
	endFinish = 1 << iota
	endHandOver
)

// secure returns the Handler of a socket whose connection was moved.
func secure(conn *tlsconn.Conn, socket Socket, early []byte, handler func(Socket) Handler) *secured {
	s := &secured{Socket: socket, conn: conn, early: early}
	s.handler = handler(s)
	return s
}

// Finish implements Socket.
func (s *secured) Finish() {
	s.ends.Or(endFinish)
	s.Wake()
}

// HandOver implements Socket.
func (s *secured) HandOver(taker func(net.Conn)) {
	s.taker = taker
	s.ends.Or(endHandOver)
	s.Wake()
}

// begin reads what there was before the connection was moved.
func (s *secured) begin() {
	if s.begun {
		return
	}
	s.begun = true
	if len(s.early) > 0 {
		s.handler.Receive(s.early)
	}
	s.early = nil
	s.decrypt(nil)
	s.account()
}

// Receive implements Handler.
func (s *secured) Receive(p []byte) {
	if s.begin(); s.failed != nil {
		return
	}
	if len(s.part) > 0 {
		s.part = append(s.part, p...)
		p = s.part
	}
	n := tlsconn.Records(p)
	if n > 0 {
		s.decrypt(p[:n])
	}
	switch {
	case n == len(p) || s.failed != nil:
		s.part = nil
	case n > 0 || len(s.part) == 0:
		s.part = bytes.Clone(p[n:])
	}
	s.account()
}

// clearTexts are buffers for what is not encrypted.
var clearTexts = sync.Pool{New: func() any { return new([]byte) }}

// decrypt gives records to TLS, and what is in them to the Handler.
func (s *secured) decrypt(records []byte) {
	buf := clearTexts.Get().(*[]byte)
	defer clearTexts.Put(buf)
	if cap(*buf) < readSize {
		*buf = make([]byte, readSize)
	}
	b := (*buf)[:cap(*buf)]
	s.conn.Feed(records)
	s.run += int32(len(records))
	var err error
	for err == nil {
		var n, m int
		for n < len(b) && err == nil {
			m, err = s.conn.Read(b[n:])
			n += m
		}
		if n > 0 {
			s.run = 0
			s.handler.Receive(b[:n])
		}
	}
	s.conn.Feed(nil)
	if err != tlsconn.ErrAgain {
		s.end(err)
	}
	if s.conn.Pending() > 0 {
		s.Wake()
	}
}

// end ends reading. A peer that has said so may still be told something; one that has broken the
// protocol is told how, if it reads.
func (s *secured) end(err error) {
	s.failed, s.part = err, nil
	if err == io.EOF && s.Ended() {
		return
	}
	if err == io.EOF || s.conn.Pending() == 0 || s.unsent > 0 {
		s.Abort(err)
	}
}

// Ended implements Answerer.
func (s *secured) Ended() bool {
	a, ok := s.handler.(Answerer)
	return ok && a.Ended()
}

// Stays implements Answerer.
func (s *secured) Stays() bool {
	a, ok := s.handler.(Answerer)
	return ok && a.Stays()
}

// Heavy implements Handler.
func (s *secured) Heavy() bool {
	return s.begun && s.failed == nil && s.ends.Load() == 0 && s.handler.Heavy()
}

// Fill implements Handler.
func (s *secured) Fill(b []byte, now time.Time) (filled []byte, again time.Time) {
	s.begin()
	s.added = 0
	s.conn.AppendTo(b)
	if s.failed != nil && s.failed != io.EOF {
		s.Socket.Finish()
		return s.conn.TakeOut(), time.Time{}
	}
	if s.ends.Load() == 0 {
		again = s.encrypt(now)
	}
	switch ends := s.ends.Load(); {
	case ends&endFinish != 0:
		_ = s.conn.CloseWrite()
		s.Socket.Finish()
	case ends&endHandOver != 0:
		s.Socket.HandOver(s.handOver)
	}
	return s.conn.TakeOut(), again
}

// encrypt writes what the Handler has to say next.
func (s *secured) encrypt(now time.Time) (again time.Time) {
	buf := clearTexts.Get().(*[]byte)
	defer clearTexts.Put(buf)
	clear, again := s.handler.Fill((*buf)[:0], now)
	if *buf = clear; cap(clear) > keepBuffer {
		*buf = nil
	}
	if len(clear) > 0 {
		before := s.conn.Pending() + len(clear)
		if _, err := s.conn.Write(clear); err != nil {
			s.Abort(err)
		}
		s.added = int32(s.conn.Pending() - before)
	}
	return again
}

// Unsent implements Handler. The Handler has accounted for what it has returned, which is a little less.
func (s *secured) Unsent(n int) error {
	s.unsent = int32(n)
	return s.handler.Unsent(max(min(n, 1), n-int(s.added)))
}

// Closed implements Handler.
func (s *secured) Closed(err error) {
	if s.failed != nil {
		err = s.failed
	}
	s.part, s.early = nil, nil
	s.handler.Closed(err)
}

// handOver gives the connection away in clear text, as it was before it was moved.
func (s *secured) handOver(conn net.Conn) {
	s.conn.Attach(conn, s.part)
	s.taker(s.conn)
}

// account tells a Handler that asks for it what TLS holds, and ends a peer for which it is too much.
func (s *secured) account() {
	room, owed := s.conn.Room(), s.conn.Pending()
	if owed > owedMax && s.unsent > 0 {
		s.Abort(errOwed)
		return
	}
	held := int32(TLSCost + s.conn.CertificateCost() + max(0, room-usualRoom) + cap(s.part) + owed)
	if s.run > int32(room) { // parts of a message of TLS itself
		held += 2 * s.run
	}
	held = held &^ (holdStep - 1)
	if held == s.held {
		return
	}
	s.held = held
	if h, ok := s.handler.(Holder); ok {
		if err := h.Holds(int(held)); err != nil {
			s.Abort(err)
		}
	}
}
