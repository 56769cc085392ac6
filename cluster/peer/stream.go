package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// errFinished is why a stream ends that was whole.
var errFinished = errors.New("the stream is closed")

// A Stream is a connection of its own on which one node sends another something large. It is an
// io.WriteCloser; one goroutine may use it at a time.
type Stream struct {
	session *session
	out     frameWriter
	// compressor is nil if pieces are sent as they are.
	compressor *compressor
	ctx        context.Context // ends with the stream; its cause says why
	end        context.CancelCauseFunc
	closing    atomic.Bool
	// finished is closed once the other end has answered, or cannot; err is then the answer.
	finished chan struct{}
	err      error
}

// Stream opens a stream to a node that is reachable. head, at most 64 KiB, is what the receiver is
// given first. It returns ErrUnknown, ErrUnreachable, ErrFrameSize, what dialling failed with, or a
// RefusedError; a receiver may also refuse later, which Write and Close return. The stream ends
// with ctx. The caller must call Close or Abort unless ctx ends.
func (m *Mesh) Stream(ctx context.Context, id ID, head []byte) (*Stream, error) {
	st, err := m.stream(ctx, id, head)
	if err != nil {
		return nil, fmt.Errorf("open stream to %v: %w", id, err)
	}
	return st, nil
}

func (m *Mesh) stream(ctx context.Context, id ID, head []byte) (*Stream, error) {
	if len(head) > pieceSize {
		return nil, fmt.Errorf("%w: a head of %d bytes, at most %d are allowed", ErrFrameSize, len(head), pieceSize)
	}
	p, err := m.find(id)
	if err != nil {
		return nil, err
	}
	if p.connected() == nil {
		return nil, ErrUnreachable
	}
	st := &Stream{finished: make(chan struct{})}
	st.ctx, st.end = context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.ctx, func() { st.end(context.Cause(p.ctx)) })
	if err := st.begin(p, head); err != nil {
		stop()
		st.end(err)
		return nil, err
	}
	context.AfterFunc(st.ctx, func() { stop() })
	return st, nil
}

// begin connects the stream and starts its goroutines.
func (st *Stream) begin(p *peer, head []byte) (err error) {
	if st.session, err = p.dial(st.ctx, streamKind); err != nil {
		return err
	}
	raw := st.session.raw
	context.AfterFunc(st.ctx, func() { raw.Close() })
	if err := st.session.welcome(); err != nil {
		return err
	}
	st.out.init(st.session)
	if st.session.compresses() {
		st.compressor = new(compressor)
	}
	if err := st.out.write(streamHead, head); err != nil {
		return err
	}
	return p.mesh.start(st.listen, func() { st.out.ping(st.ctx) })
}

// start runs goroutines for which Close waits, unless the mesh is closed.
func (m *Mesh) start(all ...func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		return ErrClosed
	}
	for _, f := range all {
		m.running.Go(f)
	}
	return nil
}

// Write sends b, no faster than Options.StreamRate, compressed if the other node is on another machine. An
// error is final; a RefusedError is the receiver's.
func (st *Stream) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		piece := b[:min(len(b), pieceSize)]
		if err := st.session.peer.mesh.limiter.WaitN(st.ctx, len(piece)); err != nil {
			st.end(err)
			<-st.finished
			return n, st.err
		}
		class, body := streamData, piece
		if st.compressor != nil {
			class, body = st.compressor.compress(piece)
		}
		if err := st.out.write(class, body); err != nil {
			return n, st.fail(err)
		}
		st.session.peer.counts.streamSent.Add(uint64(len(piece)))
		n, b = n+len(piece), b[len(piece):]
	}
	return n, nil
}

// fail returns why the stream broke, after err. The receiver may have said it: its answer is
// waited for, as long as anything is heard of it.
func (st *Stream) fail(err error) error {
	select {
	case <-st.ctx.Done():
	case <-time.After(st.session.peer.mesh.opts.Silence):
	}
	st.end(err)
	<-st.finished
	return st.err
}

// Close says that the stream is whole and waits for the receiver's answer: nil if it has read
// all of it and returned nil. Called again, or after Abort, it returns the same.
func (st *Stream) Close() error {
	if st.ctx.Err() == nil && !st.closing.Swap(true) {
		if err := st.out.write(streamEnd, nil); err != nil {
			return st.fail(err)
		}
	}
	<-st.finished
	return st.err
}

// Abort ends a stream that is not whole: the receiver reads an error with the text of why. It
// waits for the receiver to return, at most for Options.Silence, and does nothing after Close.
func (st *Stream) Abort(why error) {
	if !st.closing.Swap(true) {
		if err := st.out.write(streamEnd, textOf(why)); err == nil {
			select {
			case <-st.finished:
			case <-time.After(st.session.peer.mesh.opts.Silence):
			}
		} // else the receiver sees the connection end
		st.end(why)
	}
	<-st.finished
}

// listen is the goroutine that waits for the receiver's answer.
func (st *Stream) listen() {
	result, err := st.answer()
	if err != nil && st.ctx.Err() != nil {
		err = context.Cause(st.ctx)
	}
	st.err = cmp.Or(result, err)
	close(st.finished)
	st.end(errFinished)
}

// answer returns the receiver's answer, or why there is none.
func (st *Stream) answer() (result, err error) {
	silence := st.session.peer.mesh.opts.Silence
	r := newFrameReader(heard{st.session.conn, silence}, st.session.hello.Incarnation)
	for {
		f, err := r.next()
		switch {
		case err != nil:
			return nil, fmt.Errorf("stream broken: %w", silent(err, silence))
		case f.class == ping:
		case f.class == streamResult && len(f.piece) > 0:
			return refusedText(f.piece), nil
		case f.class == streamResult && st.closing.Load():
			return nil, nil
		default:
			return nil, fmt.Errorf("%w: %s", ErrFrame, f.class)
		}
	}
}

// A frameWriter writes the frames of a stream, from several goroutines.
type frameWriter struct {
	conn    net.Conn
	timeout time.Duration // of one frame
	every   time.Duration // between pings
	sum     uint32        // the checksum so far; belongs to who has the buffer
	// buf holds the buffer while nothing is written.
	buf chan []byte
}

func (w *frameWriter) init(s *session) {
	o := &s.peer.mesh.opts
	w.buf = make(chan []byte, 1)
	w.buf <- nil
	w.conn, w.sum, w.timeout, w.every = s.conn, seedOf(s.peer.mesh.incarnation), o.StreamTimeout, o.Silence/3
}

func (w *frameWriter) write(class Class, piece []byte) error {
	buf := (<-w.buf)[:0]
	buf = appendFrame(buf, &w.sum, class, piece, 0)
	defer func() { w.buf <- buf }()
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return err
	}
	_, err := w.conn.Write(buf)
	return stuck(err, w.timeout)
}

// ping is a goroutine that lets the other end know that this one lives, until ctx ends.
func (w *frameWriter) ping(ctx context.Context) {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if w.write(ping, nil) != nil {
				return // who reads from the connection says why
			}
		case <-ctx.Done():
			return
		}
	}
}
