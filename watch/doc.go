// Package watch tells watchers what changes in a kv.State: in order,
// without a gap, from any position last seen.
//
// A Hub keeps recent history in one ring. The goroutine that applies appends
// to it, wakes the dispatcher and returns: it never meets a watcher. The dispatcher
// walks the ring, finds the watchers of each event through an index of keys
// and prefixes, and leaves references in their mailboxes, whole revisions at a
// time. A Watcher that is fast reads its mailbox; one that is slow keeps no
// queue, only a place in the ring, and reads on from there on its own; one that
// the ring has left behind is brought up to date from a snapshot, and is told
// so. What a watcher costs is bounded, and only it pays for being slow.
//
// A stream of messages holds these promises. Changes come by revision, each
// once, and all changes of a revision that match come in one piece, the last
// with the position to resume from. Between Reset or Resync and Synced changes
// come in key order and carry no position, because a watcher that stops there
// must start over. With Latest a watcher gets the newest version of each key
// and how many were skipped; it converges, and a flush carries one position at
// its end.
package watch
