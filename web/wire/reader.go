package wire

import (
	"encoding/binary"
	"sync"
	"unicode/utf8"
)

// A Message is a whole message, its fragments put together, or a control frame.
// Op is never Continuation; the zero Op says that there is none yet.
type Message struct {
	Op Op
	// Payload is valid until the next call of Next, and may be changed. If Owned
	// is set it belongs to the caller for good.
	Payload []byte
	Owned   bool
}

// A Reader puts together the messages of one client. The zero Reader is ready.
// It is not safe for concurrent use, and of no use after Next failed.
type Reader struct {
	// part is what has arrived of a frame or message; nil between two.
	part *partial
}

// A partial is a message, or a frame of it, of which not all has arrived.
type partial struct {
	// head holds the first have bytes of a frame's header.
	head [maxHeader]byte
	have int
	// Of the frame whose payload is being read, if inFrame is set: its header,
	// how much is still to come, and how far the mask has been used.
	inFrame bool
	frame   header
	left    uint64
	used    int
	// message is the kind of message that is being put together in buf; 0 if
	// none is. The first checked bytes of buf are known to be UTF-8.
	message Op
	buf     []byte
	checked int
	control []byte
}

var partials = sync.Pool{New: func() any { return new(partial) }}

const (
	// maxHeader is the size of the largest header that a client sends.
	maxHeader = 14
	// keepControl is the room that a partial keeps for control frames.
	keepControl = MaxControl
)

// A header is what a frame begins with.
type header struct {
	fin  bool
	op   Op
	size int // of the header itself
	n    uint64
	mask [4]byte
}

// parseHeader reads the header that p begins with; ok is false if p is too short.
func parseHeader(p []byte) (h header, ok bool, err *Error) {
	if len(p) < 2 {
		return h, false, nil
	}
	h.fin, h.op, h.n, h.size = p[0]&0x80 != 0, Op(p[0]&0xf), uint64(p[1]&0x7f), 6
	switch {
	case p[0]&0x70 != 0:
		return h, false, protocolError("a reserved bit is set")
	case !h.op.known():
		return h, false, protocolError("a frame has an unknown opcode")
	case p[1]&0x80 == 0:
		return h, false, protocolError("a frame is not masked")
	case h.op.control() && !h.fin:
		return h, false, protocolError("a control frame is fragmented")
	case h.op.control() && h.n > MaxControl:
		return h, false, protocolError("a control frame is too long")
	}
	switch h.n {
	case 126:
		h.size = 8
	case 127:
		h.size = 14
	}
	if len(p) < h.size {
		return h, false, nil
	}
	switch h.size {
	case 8:
		h.n = uint64(binary.BigEndian.Uint16(p[2:]))
	case 14:
		h.n = binary.BigEndian.Uint64(p[2:])
	}
	if h.size == 8 && h.n < 126 || h.size == 14 && (h.n < 1<<16 || h.n>>63 != 0) {
		return h, false, protocolError("a frame's length is not written as it must be")
	}
	h.mask = [4]byte(p[h.size-4:])
	return h, true, nil
}

// Next reads from p and returns the next message, if p completes one, and how
// many bytes it has used: all of them if there is no message. limit bounds a
// message in bytes; it is looked at before anything is kept. It fails with an
// *Error: CloseProtocol, CloseNotUTF8 as soon as a text cannot become valid, or
// CloseTooBig.
func (r *Reader) Next(p []byte, limit int) (m Message, n int, err *Error) {
	if r.part == nil {
		h, ok, err := parseHeader(p)
		if err != nil {
			return m, 0, err
		}
		if ok && h.fin && h.n <= uint64(len(p)-h.size) {
			return whole(p, h, limit)
		}
		if len(p) == 0 {
			return m, 0, nil
		}
		r.part = partials.Get().(*partial)
	}
	for n < len(p) {
		m, used, err := r.step(p[n:], limit)
		n += used
		if err != nil || m.Op != 0 {
			return m, n, err
		}
	}
	return m, n, nil
}

// whole returns the message that p begins with, in place.
func whole(p []byte, h header, limit int) (m Message, n int, err *Error) {
	if h.op == Continuation {
		return m, 0, protocolError("a continuation has nothing to continue")
	}
	if !h.op.control() && h.n > uint64(limit) {
		return m, 0, tooBig
	}
	n = h.size + int(h.n)
	payload := p[h.size:n:n]
	unmask(payload, h.mask, 0)
	if h.op == Text && !utf8.Valid(payload) {
		return m, 0, notUTF8
	}
	return Message{Op: h.op, Payload: payload}, n, nil
}

var (
	tooBig  = &Error{CloseTooBig, "a message is too large"}
	notUTF8 = &Error{CloseNotUTF8, "a text is not UTF-8"}
)

// step reads a header, or some payload.
func (r *Reader) step(p []byte, limit int) (m Message, n int, err *Error) {
	d := r.part
	if !d.inFrame {
		if n, err = d.readHeader(p, limit); err != nil || !d.inFrame {
			return m, n, err
		}
	}
	piece := p[n:]
	if uint64(len(piece)) > d.left {
		piece = piece[:d.left]
	}
	n += len(piece)
	if err = d.take(piece); err != nil || d.left > 0 {
		return m, n, err
	}
	d.inFrame = false
	return r.finish(), n, nil
}

// readHeader collects the bytes of a header, and begins the frame when it has
// them all.
func (d *partial) readHeader(p []byte, limit int) (n int, err *Error) {
	for n < len(p) && !d.inFrame {
		d.head[d.have] = p[n]
		d.have++
		n++
		h, ok, err := parseHeader(d.head[:d.have])
		if err != nil {
			return n, err
		}
		if ok {
			if err := d.begin(h, limit); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (d *partial) begin(h header, limit int) *Error {
	d.have, d.inFrame, d.frame, d.left, d.used = 0, true, h, h.n, 0
	if h.op.control() {
		d.control = d.control[:0]
		return nil
	}
	switch {
	case h.op == Continuation && d.message == 0:
		return protocolError("a continuation has nothing to continue")
	case h.op != Continuation && d.message != 0:
		return protocolError("a message begins inside another")
	case uint64(len(d.buf))+h.n > uint64(limit):
		return tooBig
	}
	if h.op != Continuation {
		d.message = h.op
	}
	return nil
}

// take adds payload to what it belongs to.
func (d *partial) take(piece []byte) *Error {
	unmask(piece, d.frame.mask, d.used)
	d.used += len(piece)
	d.left -= uint64(len(piece))
	if d.frame.op.control() {
		d.control = append(d.control, piece...)
		return nil
	}
	d.buf = append(d.buf, piece...)
	if d.message != Text {
		return nil
	}
	n, ok := validPrefix(d.buf[d.checked:])
	d.checked += n
	if !ok || d.frame.fin && d.left == 0 && d.checked < len(d.buf) {
		return notUTF8
	}
	return nil
}

// validPrefix returns how many bytes of b are whole characters; ok is false if
// what follows them cannot become one.
func validPrefix(b []byte) (n int, ok bool) {
	n = len(b)
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if tail := b[len(b)-back:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				n -= back
			}
			break
		}
	}
	return n, utf8.Valid(b[:n])
}

// finish returns what the frame that has just ended completes, if anything.
func (r *Reader) finish() (m Message) {
	d := r.part
	switch {
	case d.frame.op.control():
		m = Message{Op: d.frame.op, Payload: d.control}
	case d.frame.fin:
		m = Message{Op: d.message, Payload: d.buf, Owned: true}
		d.message, d.buf, d.checked = 0, nil, 0
	default:
		return m
	}
	if d.message == 0 {
		r.release(&m)
	}
	return m
}

// release gives the partial back. The payload of a control frame is in it, so
// it is copied.
func (r *Reader) release(m *Message) {
	if !m.Owned && len(m.Payload) > 0 {
		m.Payload, m.Owned = append([]byte(nil), m.Payload...), true
	}
	*r.part = partial{control: r.part.control[:0:min(cap(r.part.control), keepControl)]}
	partials.Put(r.part)
	r.part = nil
}

// Pending returns how many bytes the Reader holds of a message that is not
// complete.
func (r *Reader) Pending() int {
	if r.part == nil {
		return 0
	}
	return cap(r.part.buf)
}

// Arrived returns a number that grows as more of a message arrives that is not complete;
// 0 if there is none. Control frames inside it do not count.
func (r *Reader) Arrived() int {
	if r.part == nil {
		return 0
	}
	return 1 + r.part.have + len(r.part.buf)
}

// Drop forgets what has arrived; the Reader is of no further use.
func (r *Reader) Drop() { r.part = nil }

// unmask applies a mask, of which used bytes have been applied before, to b in
// place.
func unmask(b []byte, mask [4]byte, used int) {
	if used &= 3; used != 0 {
		mask = [4]byte{mask[used], mask[(used+1)&3], mask[(used+2)&3], mask[(used+3)&3]}
	}
	m := uint64(binary.LittleEndian.Uint32(mask[:]))
	m |= m << 32
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^m)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= mask[i&3]
	}
}
