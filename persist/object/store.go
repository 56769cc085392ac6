package object

import (
	"context"
	"iter"
	"time"
)

// A Store keeps objects by name. It is safe for concurrent use. Every error of
// it matches ErrExists, ErrNotFound, ErrDamaged or ErrUnavailable, or is ctx's.
type Store interface {
	// Put writes an object durably, all or nothing, unless the name is in use:
	// then it fails with ErrExists and changes nothing. b is only read, and no
	// longer once Put has returned.
	Put(ctx context.Context, name string, b []byte) error
	// GetRange returns n bytes from offset off, which the caller owns. It fails
	// with ErrNotFound, or with ErrDamaged if the object ends before.
	GetRange(ctx context.Context, name string, off, n int64) ([]byte, error)
	// Delete removes an object; that it is not there is no error.
	Delete(ctx context.Context, name string) error
	// List ranges over the objects whose names begin with prefix, in no
	// particular order. An error ends it.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
}

// Info describes an object.
type Info struct {
	Name string
	// Size is in bytes.
	Size int64
	// Modified is when the object was written, by the store's clock.
	Modified time.Time
}
