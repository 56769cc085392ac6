package watch

import (
	"math/rand/v2"
	"time"

	"keywatch/kv"
)

// Kind says what a message means.
type Kind uint8

// The kinds of message.
const (
	// Put and Delete are changes.
	Put Kind = iota + 1
	Delete
	// Reset says: forget everything held. The full state follows, then Synced.
	Reset
	// Resync says that the versions since the last position are gone. Every key
	// that changed or was deleted since follows, then Synced.
	Resync
	// Synced says that what follows is live.
	Synced
	// Progress says that all up to its position was delivered.
	Progress
	// Denied ends the stream: the credential ended.
	Denied
	// Bye ends the stream: reconnect after Retry.
	Bye
)

var kindNames = [...]string{
	Put: "put", Delete: "delete", Reset: "reset", Resync: "resync", Synced: "synced",
	Progress: "progress", Denied: "denied", Bye: "bye",
}

// String returns the name that clients see.
func (k Kind) String() string { return kindNames[k] }

// The codes of Bye.
const (
	// CodeStopping says that the server stops.
	CodeStopping = "stopping"
	// CodeStarting says that the server has fallen behind and loads the state of another:
	// others know more.
	CodeStarting = "starting"
	// CodeNoLeader says that the server has not heard from a leader for so long that it cannot know who may
	// watch what.
	CodeNoLeader = "no_leader"
	// CodeMemoryFull says that the state could not be read within the bounds on
	// memory and time.
	CodeMemoryFull = "memory_full"
)

// A Message is one thing that a watcher is told. It is immutable.
type Message struct {
	Kind Kind
	// Key and Entry are those of a Put or Delete, which happened at log time
	// Time, in milliseconds; in a state, Time is when it was told. Entry is a
	// tombstone for a Delete.
	Key   string
	Entry *kv.Entry
	Time  int64
	// Skipped counts the changes of Key that were left out before this one, in
	// mode Latest.
	Skipped int
	// At is the position to resume from once this message was handled, if
	// HasAt is set: on the last message of a revision or flush, on Reset (where
	// its revision is 0: start over), on Synced and on Progress.
	At    kv.Position
	HasAt bool
	// Code and Retry belong to Bye. Endpoints are the URLs of servers to use instead, the best first; it may
	// be empty.
	Code      string
	Retry     time.Duration
	Endpoints []string

	form bodyForm
	// rec has the encoded body to share; nil for a message of a state.
	rec *record
}

// As returns the message with another name for its key, which may be any bytes: see kvjson.AppendKey.
func (m *Message) As(key string) Message {
	renamed := *m
	renamed.Key, renamed.rec = key, nil
	return renamed
}

// Op returns the operation that made the change; 0 where that is not known.
func (m *Message) Op() kv.OpKind {
	if m.rec == nil {
		return 0
	}
	return m.rec.Op
}

func positioned(k Kind, at kv.Position) Message { return Message{Kind: k, At: at, HasAt: true} }

// Goodbye returns a Bye with code and a Retry of its own.
func Goodbye(code string) Message { return Message{Kind: Bye, Code: code, Retry: RetryAfter()} }

// RetryAfter returns how long a client is asked to wait before it reconnects:
// 1 to 3 seconds at random, so that not all come at once.
func RetryAfter() time.Duration {
	return time.Second + time.Duration(rand.IntN(2001))*time.Millisecond
}
