package wal

// An EntryType says what the data of an entry is. The numbers are those in the file.
type EntryType uint8

const (
	// Command is an entry for the state machine.
	Command EntryType = 0
	// Noop is an entry without data: a leader begins with one.
	Noop EntryType = 1
	// Barrier and Configuration are entries of earlier releases. A log that begins at
	// index 1 still begins with a Configuration, so that they can open it.
	Barrier       EntryType = 4
	Configuration EntryType = 5
	// Members is a change of members.
	Members EntryType = 16
)

// An Entry is one entry of the log.
type Entry struct {
	Index, Term uint64
	Type        EntryType
	Data        []byte
}
