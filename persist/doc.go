// Package persist keeps a store on disk: a data folder with the log (package
// wal), the checkpoint, and backups of it.
//
// # The checkpoint
//
// A DB is one bbolt file that follows the state: each checkpoint appends what has
// changed since the one before, in order of revision, in buckets for ranges of
// revisions. Nothing that it writes counts until its last transaction replaces
// the header; until then the file is, to a reader, the previous checkpoint. A
// record lives while its key names it. A range less than half alive has its
// survivors written again and is dropped; the record of a deletion is dropped only
// once every older range was rewritten since. Compact copies the file to give space
// back. Stage, Verify and Install put the checkpoint of another server in the file's
// place. A failed commit other than for want of space is final: the file takes no
// more checkpoints until the next start, and the log keeps everything.
//
// # The folder
//
// All files of a data folder name the store that they belong to, and Open refuses a
// folder in which one is missing, of another store, an earlier copy than the others, or
// of a later release, with a *disk.MisfitError and before it changes anything. Restore
// makes a folder that has all of them, and leaves a sign until it has succeeded.
//
// # Packages
//
// The arrows are persist -> wal -> disk. A DB uses the log through Open, Survey, Extent,
// Read, Discard, SyncThrough, Stats and Close. Package disk has what both share. Package object
// is where values are kept that are not used, and faultfs fails any step of what is
// written, in tests.
package persist
