package kv

// An Event is one change of one key, in the order of history: by revision, and
// within a revision by the order of its operations.
type Event struct {
	Key string
	// Entry is the version that the change made; a tombstone for a deletion.
	Entry *Entry
	// Time is the log time of the change in milliseconds; Entry.TTL(Time) is
	// the time to live that the change gave.
	Time int64
	// Op is the operation that wrote Entry; 0 where none did, as at the end of a TTL.
	Op OpKind
	// Last marks the last event of its revision.
	Last bool
}

// A Publisher learns of everything that happens, after it is durable and
// visible. Its methods are called by one goroutine at a time, the one that
// applies, and must not wait.
type Publisher interface {
	// Publish hands over the events of one or more whole revisions, in order.
	// The slice belongs to the caller again when Publish returns; what the
	// events point to may be kept. at is the position after them.
	Publish(events []Event, at Position)
	// Reset says that history is unknown up to at: the state was replaced, or a
	// new epoch began.
	Reset(at Position)
}
