// Package wake has the one way in which a goroutine here is told to look again: a
// channel that holds at most one token.
package wake

// A Chan carries a token while its receiver has something to look at. Many goroutines
// may wake one receiver; none of them waits. Tokens do not add up: the receiver looks
// at everything there is. It is never closed. The zero value is never ready, and waking it
// does nothing.
type Chan chan struct{}

// New returns a channel without a token.
func New() Chan { return make(Chan, 1) }

// Wake leaves a token, unless there is one. It never waits, and is safe for concurrent
// use.
func (c Chan) Wake() {
	select {
	case c <- struct{}{}:
	default:
	}
}
