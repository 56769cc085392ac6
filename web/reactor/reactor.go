package reactor

import (
	"errors"
	"time"
)

var (
	// ErrClosed is returned by Adopt once the reactor was closed, and is what
	// Handler.Closed is given then.
	ErrClosed = errors.New("the reactor is closed")
	// ErrStalled is what Handler.Closed is given when a peer has read nothing for
	// as long as Options.WriteTimeout while something was to be written.
	ErrStalled = errors.New("the peer does not read")
)

// Piece is about how many bytes Handler.Fill is to return at once. A whole
// message may exceed it.
const Piece = 64 << 10

// A Handler is what a connection is for. The reactor calls one method at a time,
// Closed last and once. No method may wait, or keep a lock that Wake's callers
// hold; none may keep the slices it is given.
type Handler interface {
	// Receive is given what the peer sent. The bytes are valid, and may be
	// changed, until it returns.
	Receive(p []byte)
	// Fill appends what is to be sent next to b, which may not be empty, about
	// Piece bytes at most, and returns it. It is called after Socket.Wake, when
	// what it returned before is written, and at the time again, unless that is
	// zero, even if nobody wakes the socket. If it appended nothing, there is
	// nothing to send for now.
	Fill(b []byte, now time.Time) (filled []byte, again time.Time)
	// Heavy reports whether the next Fill may take long, such as to read much of
	// the state: then it is called elsewhere, and the loop goes on meanwhile.
	Heavy() bool
	// Closed is told that the connection is closed: err is nil if Finish was
	// called and everything was written, io.EOF if the peer left.
	Closed(err error)
}

// A Socket is an adopted connection, as its Handler sees it. Wake is safe for
// concurrent use and may be called at any time, even after the end; the others
// are for the Handler's methods, and are safe for concurrent use too.
type Socket interface {
	// Wake has Fill called soon. It never waits.
	Wake()
	// Finish closes the connection once everything that Fill has returned, and
	// what the call that is running returns, is written. Fill is not called again.
	Finish()
	// Abort closes the connection at once; Handler.Closed is given err.
	Abort(err error)
	// Pause stops, or resumes, reading from the peer.
	Pause(stop bool)
}
