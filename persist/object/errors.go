package object

import (
	"errors"
	"fmt"
)

var (
	// ErrExists is returned by Put when the name is in use. What it names was not
	// touched.
	ErrExists = errors.New("object exists")
	// ErrNotFound is returned when an object is not there.
	ErrNotFound = errors.New("object not found")
	// ErrUnavailable is returned when the store did not do what was asked and may
	// do it later: it is down, slow, full, busy or refuses the credentials. A Put
	// that fails so may have happened.
	ErrUnavailable = errors.New("object store unavailable")
	// ErrDamaged is returned when an object is not what was written.
	ErrDamaged = errors.New("object damaged")
	// ErrTaken is returned by Upload when another writer's bytes bear the name:
	// two processes write for the same store. The loser must stop.
	ErrTaken = errors.New("another process writes segments of this store")
	// ErrUnfit is returned by Probe when the store cannot be trusted: it does not
	// refuse a second Put, or gives back other bytes than it got.
	ErrUnfit = errors.New("object store unfit")
	// ErrBadURL is returned by Open when the URL does not name a store.
	ErrBadURL = errors.New("bad object store URL")
	// ErrElsewhere is returned when a store is not the one that the values of a data
	// folder are in. It matches ErrUnavailable: nothing is lost.
	ErrElsewhere = fmt.Errorf("%w: it is another one than that in which the values are: it has none of the segments that they are in", ErrUnavailable)
	// ErrNewer is returned when a later release wrote what is read. It matches
	// ErrUnavailable: nothing is lost.
	ErrNewer = fmt.Errorf("%w: a later release of keywatch wrote it", ErrUnavailable)
)
