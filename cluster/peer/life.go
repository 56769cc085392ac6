package peer

import (
	"errors"
	"io"
	"syscall"
)

// A life is what is known of the process of another node. Its zero value knows of none.
type life struct {
	process uint64 // the incarnation of the one that was connected last, 0 if it is known to have ended
	closed  bool   // it has closed the connection
}

// met notes that a process is connected, and reports whether the one before it has ended.
func (l *life) met(incarnation uint64) (another bool) {
	another = l.process != 0 && l.process != incarnation
	*l = life{process: incarnation}
	return another
}

// lost notes why the connection has ended. A process that ends closes it; one that is cut off, or stopped, is
// silent.
func (l *life) lost(why error) {
	for _, closed := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		l.closed = l.closed || errors.Is(why, closed)
	}
}

// refused notes that the address of the node could not be dialled, and reports whether its process has ended: it has
// closed the connection, and no process listens where it did.
func (l *life) refused(err error) (ended bool) {
	if ended = l.closed && errors.Is(err, syscall.ECONNREFUSED); ended {
		*l = life{}
	}
	return ended
}

// noteRefusal looks whether the node could not be dialled because its process has ended.
func (p *peer) noteRefusal(err error) {
	p.mu.Lock()
	ended := !p.mu.up && p.mu.life.refused(err)
	p.mu.Unlock()
	if ended {
		p.ended()
	}
}

// ended tells that the process of the node has ended.
func (p *peer) ended() {
	p.mesh.opts.Logger.Info("peer process ended", "peer", p.id)
	p.mesh.opts.Ended(p.id)
}
