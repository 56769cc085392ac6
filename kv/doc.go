// Package kv is the state machine of keywatch: versioned keys, compare-and-swap,
// batches, times to live, leases, locks and idempotent requests, and nothing else. It does no
// I/O, reads no clock and starts no goroutine; the same log makes the same state
// on every machine.
//
// # The parts
//
// A [Command] is one write request; a log entry ([EntryBuilder]) carries many.
// [State.Apply] runs an entry: it expires what is due at the entry's time, then
// decides each command ([Result]) and makes [Event] values. A [Store] joins a
// State with the [Log] that orders its commands and is what everybody else uses.
//
// # Revisions
//
// Each command that changes something takes the next [Rev], and all keys that it
// changes share it. An [Entry] is one version of one key and never changes. A
// deleted key leaves a tombstone until a window of count and age has passed;
// Floor is the revision below which deletions are no longer known.
//
// # Readers
//
// Readers take no lock. Apply links each new version before the old one and then
// publishes the whole entry by one atomic store; a reader loads the published
// revision first and walks back to the newest version at or below it. Versions
// that no reader can see any more are unlinked right after publishing: a
// [Snapshot], which is opened between entries, keeps its own; any other reader
// that walked back looks again whether something was published meanwhile, and if
// so starts over.
//
// # Time
//
// Time is log time: milliseconds that the log has lived through. It moves with
// the entries and never backwards, so a deadline never comes early, and it
// stands still while no server leads.
//
// # Leases and locks
//
// A lease is a time to live that many keys are attached to: when it ends they are deleted
// in one revision. Its name comes with the command that begins it, so that the
// state draws nothing at random. A lock is the key of its holder, on a lease of
// its own; its create revision is the fencing token. Those who wait have keys too.
// When the holder's key goes, for whatever reason, the same revision makes the
// first in line the holder, and only that one is woken ([State.Parked]).
//
// # Checkpoints
//
// [State.Freeze] gives a reader at one revision and the keys that changed since
// the checkpoint before; [Record] is the durable form of a version, [Loader]
// brings records back. A record lives as long as its key names it.
package kv
