package client

import (
	"encoding/json"
	"fmt"
	"time"
)

// EventType says what an event means.
type EventType string

// The types of event. Further ones may come; pass over what you do not know.
const (
	// EventPut and EventDelete are changes.
	EventPut    EventType = "put"
	EventDelete EventType = "delete"
	// EventReset says: forget everything held. The full state follows as puts,
	// then EventSynced. A key that changes while a large state is read slowly may
	// follow again, deletions included. A state that is cut off starts over with
	// EventReset.
	EventReset EventType = "reset"
	// EventResync says that intermediate versions are gone. The newest version
	// of every key changed since follows, deletions included, then EventSynced;
	// what is not named stays. It comes whole or not at all.
	EventResync EventType = "resync"
	// EventSynced says that a state, a resync or what was missed is complete,
	// and that what follows is live.
	EventSynced EventType = "synced"
	// EventProgress says that all up to its position was seen.
	EventProgress EventType = "progress"
	// EventDenied and EventBye end a stream; Watch deals with them itself.
	EventDenied EventType = "denied"
	EventBye    EventType = "bye"
)

// An Event is one thing that a watch tells.
type Event struct {
	Type EventType
	// Entry is the new version of a put. Of a delete it has the key and the
	// revision and version of the deletion. The value is nil in mode keys.
	Entry
	// Cause says why a key was deleted: deleted, expired or lease.
	Cause string
	// Skipped counts the changes of this key that were left out before this
	// one, in mode latest.
	Skipped int
	// Position is what to resume from once this event was handled. Only the
	// last event of a revision has one, and reset, synced and progress.
	Position Position
	// Raw is the event as the server sent it, with WatchOptions.Raw.
	Raw json.RawMessage
}

// wireEvent is an event in the server's JSON.
type wireEvent struct {
	Type EventType `json:"type"`
	wireEntry
	Cause    string   `json:"cause"`
	Skipped  int      `json:"skipped"`
	Position Position `json:"pos"`
	Code     string   `json:"code"`
	RetryMS  int64    `json:"retry_ms"`
	// Endpoints of a bye are servers to use instead.
	Endpoints []string `json:"endpoints"`
}

// parseEvent reads one line. A bye comes as *byeError.
func parseEvent(line []byte) (Event, error) {
	var w wireEvent
	if err := json.Unmarshal(line, &w); err != nil {
		return Event{}, &lostError{fmt.Errorf("an event cannot be read: %w", err)}
	}
	switch w.Type {
	case EventBye:
		return Event{}, &byeError{code: w.Code, after: time.Duration(w.RetryMS) * time.Millisecond, endpoints: w.Endpoints}
	case EventDenied:
		return Event{}, ErrDenied
	}
	entry, err := w.entry()
	return Event{Type: w.Type, Entry: entry, Cause: w.Cause, Skipped: w.Skipped, Position: w.Position}, err
}

// byeError ends a connection that the server wants to be rid of for a while.
type byeError struct {
	code  string
	after time.Duration
	// endpoints are the servers that it names, the best first.
	endpoints []string
}

func (e *byeError) Error() string {
	if e.code == "" {
		return "the server said bye"
	}
	return "the server said bye (" + e.code + ")"
}
