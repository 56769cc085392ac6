package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// writeSize is about how many bytes are handed to a connection at once: a control frame waits
// for so many in the process, and for those that the kernel has not sent (see tune).
const writeSize = 64 << 10

// A link is the connection of two nodes.
type link struct {
	*session
	queue queue
	done  chan struct{} // closed when the last callback has returned
	mu    struct {
		sync.Mutex
		why error // why it has ended
	}
}

func newLink(s *session) *link {
	l := &link{session: s, done: make(chan struct{})}
	o := &s.peer.mesh.opts
	l.queue.init(o.ControlQueue, o.AppendQueue)
	return l
}

// send queues a body.
func (l *link) send(class Class, body []byte) bool { return l.queue.push(class, body) }

// ended reports whether close was called.
func (l *link) ended() bool { return isClosed(l.queue.ends) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// close ends the connection. The first reason stays.
func (l *link) close(why error) {
	l.mu.Lock()
	if l.mu.why == nil {
		l.mu.why = why
	}
	l.mu.Unlock()
	for i, n := range l.queue.close() {
		l.peer.counts.of[i].dropped.Add(uint64(n))
	}
	l.raw.Close()
}

func (l *link) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.why
}

// run serves the connection until it ends. It must be called for each link that was installed.
func (l *link) run() {
	p := l.peer
	defer p.wake.Wake()
	defer close(l.done)
	defer p.link.CompareAndSwap(l, nil)
	if l.ended() {
		return
	}
	stop := context.AfterFunc(p.ctx, func() { l.close(context.Cause(p.ctx)) })
	defer stop()
	p.up(l)
	var writer sync.WaitGroup
	writer.Go(l.write)
	l.close(l.read())
	writer.Wait()
	p.down(l, l.why())
}

// read delivers frames until the connection ends.
func (l *link) read() error {
	o := &l.peer.mesh.opts
	r := newFrameReader(heard{l.conn, o.Silence}, l.hello.Incarnation)
	large := assembler{max: o.MaxFrame}
	for !l.ended() {
		f, err := r.next()
		if err != nil {
			return silent(err, o.Silence)
		}
		var body []byte
		switch {
		case f.class == ping:
			continue
		case f.class == Control && f.rest == 0:
			body = append(make([]byte, 0, len(f.piece)), f.piece...)
		case f.class == Append:
			if body, err = large.add(f); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: %s, %d bytes follow", ErrFrame, f.class, f.rest)
		}
		if body != nil {
			l.peer.counts.received(f.class, len(body))
			o.Receive(l.peer.id, f.class, body)
		}
	}
	return l.why()
}

// write is the goroutine that sends what is queued, and pings.
func (l *link) write() {
	o := &l.peer.mesh.opts
	pings := time.NewTicker(o.Silence / 3)
	defer pings.Stop()
	w := linkWriter{link: l, sum: seedOf(l.peer.mesh.incarnation)}
	defer w.end()
	for {
		select {
		case <-l.queue.wake:
		case <-pings.C:
			w.buf = appendFrame(w.buf, &w.sum, ping, nil, 0)
		case <-l.queue.ends:
			return
		}
		for w.fill(); len(w.buf) > 0; w.fill() {
			err := l.conn.SetWriteDeadline(time.Now().Add(o.Silence))
			if err == nil {
				_, err = l.conn.Write(w.buf)
			}
			if err != nil {
				l.close(stuck(err, o.Silence))
				return
			}
			w.buf = w.buf[:0]
		}
	}
}

// A linkWriter makes frames of what is queued.
type linkWriter struct {
	link  *link
	sum   uint32 // the checksum so far
	buf   []byte
	large []byte // a body of Append of which sent bytes were handed over
	sent  int
	begun bool
}

// fill appends what is to be sent next: control frames first, but at least one piece of Append.
func (w *linkWriter) fill() {
	q, counts := &w.link.queue, &w.link.peer.counts
	w.buf = slices.Grow(w.buf, writeSize+headerSize)
	for len(w.buf) < writeSize {
		body, ok := q.pop(Control)
		if !ok {
			break
		}
		w.buf = appendFrame(w.buf, &w.sum, Control, body, 0)
		q.release(Control, body)
		counts.sent(Control, len(body))
	}
	for first := true; (first || len(w.buf) < writeSize) && w.piece(); first = false {
	}
}

// piece appends the next piece of Append, and reports whether there was one.
func (w *linkWriter) piece() bool {
	q := &w.link.queue
	if !w.begun {
		if w.large, w.begun = q.pop(Append); !w.begun {
			return false
		}
		w.sent = 0
	}
	n := min(pieceSize, len(w.large)-w.sent)
	next := w.sent + n
	w.buf = appendFrame(w.buf, &w.sum, Append, w.large[w.sent:next], len(w.large)-next)
	if w.sent = next; next < len(w.large) {
		return true
	}
	q.release(Append, w.large)
	w.link.peer.counts.sent(Append, len(w.large))
	w.large, w.begun = nil, false
	return true
}

// end counts a body that was not handed over whole.
func (w *linkWriter) end() {
	if w.begun {
		w.link.peer.counts.of[Append-Control].dropped.Add(1)
	}
}

// heard reads from a connection of which something must be heard in time.
type heard struct {
	conn    net.Conn
	silence time.Duration
}

func (h heard) Read(b []byte) (int, error) {
	if err := h.conn.SetReadDeadline(time.Now().Add(h.silence)); err != nil {
		return 0, err
	}
	return h.conn.Read(b)
}

// silent names the error of a read that took too long.
func silent(err error, after time.Duration) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w for %v", ErrSilent, after)
	}
	return err
}

// stuck names the error of a write that took too long.
func stuck(err error, after time.Duration) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: it accepted no byte for %v", ErrStuck, after)
	}
	return err
}
