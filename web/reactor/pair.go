package reactor

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"keywatch/kv/wake"
)

// A pair serves one connection with two goroutines, one that reads and one that
// writes.
type pair struct {
	reactor *Reactor
	conn    net.Conn
	handler Handler
	// wake says that Fill is to be called.
	wake wake.Chan
	// resumed says that reading may go on.
	resumed wake.Chan
	// gone is closed when the connection is.
	gone chan struct{}

	// turn is held while a method of the Handler runs.
	turn sync.Mutex
	mu   struct {
		sync.Mutex
		// finished says that nothing more is to be written, written that nothing is
		// left either.
		finished, written, paused, closed bool
		failed                            error
		// taker, if not nil, gets the connection.
		taker func(net.Conn)
	}
}

var _ Socket = (*pair)(nil)

func (r *Reactor) adoptPairLocked(conn net.Conn, early []byte, handler func(Socket) Handler) {
	p := &pair{reactor: r, conn: conn, wake: wake.New(), resumed: wake.New(), gone: make(chan struct{})}
	p.handler = handler(p)
	r.mu.pairs[p] = struct{}{}
	r.open.Add(1)
	early = append([]byte(nil), early...)
	r.running.Go(func() { p.run(early) })
}

func (p *pair) Wake() { p.wake.Wake() }

// WakeAs implements Socket. Goroutines have their turns from Go.
func (p *pair) WakeAs(Priority) { p.wake.Wake() }

func (p *pair) Finish() {
	p.mu.Lock()
	p.mu.finished = true
	p.mu.Unlock()
	p.Wake()
}

func (p *pair) HandOver(taker func(net.Conn)) {
	p.mu.Lock()
	p.mu.taker = taker
	p.mu.Unlock()
	p.resumed.Wake()
	p.Wake()
}

func (p *pair) Abort(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return
	}
	p.mu.closed, p.mu.failed = true, err
	close(p.gone)
	_ = p.conn.Close()
}

func (p *pair) Pause(stop bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.paused = stop
	p.resumed.Wake()
}

// run writes until the end, and then tells the Handler.
func (p *pair) run(early []byte) {
	reading := make(chan struct{}) // closed when the reader has ended
	go func() {
		defer close(reading)
		p.read(early)
	}()
	err := p.write()
	if err == errHandedOver {
		p.interrupt(reading)
		p.leave()
		p.mu.taker(p.conn)
		return
	}
	p.Abort(err)
	<-reading
	p.leave()
	p.mu.Lock()
	err = p.mu.failed
	p.mu.Unlock()
	if err == ErrStalled {
		p.reactor.stalled.Add(1)
	}
	p.handler.Closed(err)
}

// errHandedOver ends write where the connection is given away.
var errHandedOver = errors.New("handed over")

// interrupt ends the reader, which may wait for the peer.
func (p *pair) interrupt(reading <-chan struct{}) {
	_ = p.conn.SetReadDeadline(time.Unix(1, 0))
	<-reading
	_ = p.conn.SetReadDeadline(time.Time{})
	_ = p.conn.SetWriteDeadline(time.Time{})
}

// leave has the reactor forget p.
func (p *pair) leave() {
	r := p.reactor
	r.mu.Lock()
	delete(r.mu.pairs, p)
	r.mu.Unlock()
	r.open.Add(-1)
}

// parting reports whether the connection is given away.
func (p *pair) parting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.taker != nil
}

// read gives the Handler what the peer sends until it leaves.
func (p *pair) read(early []byte) {
	if len(early) > 0 {
		p.receive(early)
	}
	buf := make([]byte, 4<<10)
	for p.mayRead() {
		n, err := p.conn.Read(buf)
		if n > 0 {
			p.receive(buf[:n])
		}
		if err != nil {
			if !p.parting() && !(err == io.EOF && p.answers(Answerer.Ended)) {
				p.Abort(p.left(err))
			}
			return
		}
	}
}

// answers reports whether a connection whose peer sends nothing more stays open, as ask says.
func (p *pair) answers(ask func(Answerer) bool) bool {
	a, ok := p.handler.(Answerer)
	p.mu.Lock()
	written := p.mu.written
	p.mu.Unlock()
	if !ok || written {
		return false
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	return ask(a)
}

// left returns why the connection ends when reading failed with err: that the
// peer leaves is expected in the end.
func (p *pair) left(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.written {
		return nil
	}
	return err
}

func (p *pair) receive(b []byte) {
	p.turn.Lock()
	defer p.turn.Unlock()
	p.handler.Receive(b)
}

// lookEvery is how often it is looked whether a peer has left that is not read from.
const lookEvery = time.Second

// mayRead waits while reading is paused, and returns false at the end.
func (p *pair) mayRead() bool {
	for p.isPaused() {
		look := time.NewTimer(lookEvery)
		select {
		case <-p.resumed:
		case <-p.gone:
		case <-look.C:
			if peerLeft(p.conn) && !p.answers(Answerer.Stays) {
				p.Abort(io.EOF)
			}
		}
		look.Stop()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.mu.closed && p.mu.taker == nil
}

func (p *pair) isPaused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.paused && !p.mu.closed && p.mu.taker == nil
}

// write sends what the Handler has until it has finished or sending fails.
func (p *pair) write() error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		b, again, err := p.fill(now)
		if err == nil {
			err = p.send(b)
		}
		if err != nil {
			return err
		}
		_ = p.unsent(0)
		if p.over() {
			return p.lastRead()
		}
		if p.parting() {
			return errHandedOver
		}
		if !again.IsZero() {
			timer.Reset(time.Until(again))
		}
		select {
		case <-p.gone:
			return ErrClosed
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// fill asks the Handler for more. What it returns is kept until it is written.
func (p *pair) fill(now time.Time) (b []byte, again time.Time, err error) {
	p.turn.Lock()
	b, again = p.handler.Fill(nil, now)
	p.turn.Unlock()
	return b, again, p.unsent(len(b))
}

func (p *pair) unsent(n int) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	return p.handler.Unsent(n)
}

func (p *pair) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.finished
}

// lastRead gives the peer a moment to close the connection itself, so that the
// last bytes are not lost to a reset.
func (p *pair) lastRead() error {
	p.mu.Lock()
	p.mu.written = true
	p.mu.Unlock()
	half, ok := p.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return nil
	}
	p.Pause(false)
	select {
	case <-p.gone:
	case <-time.After(linger):
	}
	return nil
}

// send writes b in pieces, each of which has its own time.
func (p *pair) send(b []byte) error {
	for len(b) > 0 {
		piece := b[:min(len(b), Piece)]
		limit, _ := p.reactor.opts.writeLimit()
		if err := p.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
			return err
		}
		n, err := p.conn.Write(piece)
		if e, ok := err.(net.Error); ok && e.Timeout() {
			return ErrStalled
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
