package watch

import (
	"errors"
	"fmt"
	"time"

	"keywatch/kv"
)

// MaxNames is the default of Options.MaxNames.
const MaxNames = 1_024

// MaxInterval is the longest Request.Interval.
const MaxInterval = time.Hour

// What a request can be refused for. A bad key or prefix fails with an error
// that matches kv.ErrBadKey.
var (
	// ErrEmptyRequest is returned when neither a key nor a prefix is named.
	ErrEmptyRequest = errors.New("a watch requires at least one key or prefix")
	// ErrRequestTooLarge is returned when a request names more than
	// Options.MaxNames keys and prefixes.
	ErrRequestTooLarge = errors.New("too many keys and prefixes in one watch")
	// ErrBadInterval is returned when Interval is negative, above MaxInterval,
	// or given in another mode than Latest.
	ErrBadInterval = errors.New("an interval requires mode latest and must be at most 1h")
	// ErrTooManyWatches is returned when Options.MaxWatches are open.
	ErrTooManyWatches = errors.New("too many watches")
	// ErrClosed is returned by Next after the last message, and by Watch after
	// the hub was closed.
	ErrClosed = errors.New("the watch is closed")
)

// From says where a watch begins.
type From uint8

const (
	// FromState begins with Reset, the state and Synced.
	FromState From = iota
	// FromLive begins with Synced; only what happens later follows.
	FromLive
	// FromPosition resumes after Request.Since. What happened since comes from
	// history or, where that is gone, as a resync; then comes Synced. A position
	// of another epoch, of revision 0, from the future or that cannot be read
	// is the same as FromState.
	FromPosition
)

// Mode says which changes a watcher gets.
type Mode uint8

const (
	// All is every change.
	All Mode = iota
	// Latest is the newest version of each key: a watcher that is behind, or
	// that asks for an interval, does not get those between.
	Latest
	// Keys is every change, encoded without its value.
	Keys
)

// A Request says what to watch.
type Request struct {
	// Keys and Prefixes select; a key that matches more than one of them is
	// watched once. The prefix "" is everything.
	Keys, Prefixes []string
	From           From
	// Since is the text form of the position that FromPosition resumes after.
	Since string
	Mode  Mode
	// Interval is the least time between two flushes in mode Latest.
	Interval time.Duration
	// Progress takes the place of Options.Progress, if not 0.
	Progress time.Duration
	// Waker is told when Poll has something to return; nil where Next is used.
	Waker Waker
}

// A Waker is told that a watcher has something to look at. Wake is called with
// locks of the hub held: it may not wait, and not call back.
type Waker interface {
	Wake(w *Watcher)
}

func (r *Request) validate(maxNames int) error {
	if len(r.Keys)+len(r.Prefixes) == 0 {
		return ErrEmptyRequest
	}
	if n := len(r.Keys) + len(r.Prefixes); n > maxNames {
		return fmt.Errorf("%w: %d, at most %d are allowed", ErrRequestTooLarge, n, maxNames)
	}
	if r.Interval < 0 || r.Interval > MaxInterval || r.Interval > 0 && r.Mode != Latest {
		return ErrBadInterval
	}
	for _, key := range r.Keys {
		if err := kv.CheckKey(key); err != nil {
			return err
		}
	}
	for _, prefix := range r.Prefixes {
		if err := kv.CheckPrefix(prefix); err != nil {
			return err
		}
	}
	return nil
}
