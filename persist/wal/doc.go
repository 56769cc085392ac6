// Package wal is the log of a store on disk: what was acknowledged since the
// checkpoint, and Raft's term and vote.
//
// A Log holds the entries and a Stable a Hard; MemLog and MemStable are the same without
// a disk. One Append is one group: one write and, under
// SyncAlways, one fdatasync into a segment that was filled with zeros beforehand.
// What Append acknowledged is there after any crash or power cut, entirely and
// in order; what it did not acknowledge may be there or not, but never half and
// never behind a gap. Under SyncInterval the same holds for what Synced names.
//
// Groups are numbered without a hole through the log's whole life, and each one
// names the last group known durable when it was written. At Open the log is
// read from its oldest segment until the first place that holds no valid next
// group. Whatever is beyond was never acknowledged, and is cut off, unless a
// valid group anywhere beyond names that place as durable: then bytes that were
// once safe are gone, and Open refuses with a *disk.DamageError. A segment that is
// missing, too short or has a bad head is damage too, and so is an index that
// does not follow the one before it.
//
// The numbers count groups and not indexes, because a follower may remove the end
// of its log and write it again: an index is then no measure of age.
//
// One case cannot be told from a torn write: the last group of all is damaged and
// none after it names it. Close, Open and a second without writes each leave a
// mark that does, so that the case is left only for what was written within the
// last second before a crash (SyncInterval: the last interval).
//
// Bytes beyond a cut stay in the file, and given-up segments are used again. They
// are told from new groups by the segment's random salt and by the number of
// the run, which grows with every Open.
//
// Any failed write or fsync is final: the log refuses everything from then on
// with that error and calls Options.Fatal once. Nothing is ever retried. The
// next Open writes the end that may never have reached the disk once more.
package wal
