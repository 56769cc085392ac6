// Package object keeps values in object storage: packed into immutable
// segments of some megabytes, in a folder or in a bucket that speaks S3.
//
// A segment is built in memory, put once under a name that was never used,
// read back, and only then named by anything. Its name begins with the store's
// id and epoch, so that two stores, or two histories of one store, never meet.
// A value is read with one ranged request and checked: a record carries the
// hash of its key, its revision, its length and a CRC-32C over all of that and
// the segment's identity, so that the right bytes of the wrong object are found
// out too. The footer lists all records, so that a segment can be rewritten or
// inspected without the store that made it.
//
// A Store is safe for concurrent use. Errors say what the caller can do:
// ErrUnavailable may pass, ErrNotFound and ErrDamaged will not.
package object
