package kv

import (
	"context"
	"errors"
)

// A Tier says where a value lies.
type Tier uint8

// The tiers, from the quickest.
const (
	TierMemory Tier = iota
	TierDisk
	TierObject
)

// TierCount is the number of tiers.
const TierCount = 3

// String returns the name that clients see.
func (t Tier) String() string { return [...]string{"memory", "disk", "object"}[t] }

// HashSize is how many bytes of a value's SHA-256 are kept.
const HashSize = 16

// A ColdRef names one version's value that is not in memory.
type ColdRef struct {
	Tier Tier
	Key  string
	// At is the durable record of the version: its revision and its place within.
	At Locator
	// Size is the length of the value in bytes, Hash the first of its SHA-256.
	Size int
	Hash [HashSize]byte
	// Place is what an object tier has noted of where the value lies; empty for
	// TierDisk, where At says all.
	Place string
}

// A ColdReader reads values that are not in memory. It is safe for concurrent
// use and may wait, but for no lock of a state.
type ColdReader interface {
	// ReadCold returns the value that ref names, checked against Key, Size and
	// Hash. It fails with ErrColdGone if there is no such record (any more), with
	// ErrTierUnavailable if the tier cannot answer now, with an error that matches
	// ErrDamaged if what is there is not what was written, or with ctx's error.
	ReadCold(ctx context.Context, ref ColdRef) (string, error)
}

var (
	// ErrColdGone is returned by a ColdReader that finds no such record: it was
	// replaced and swept, unless its key still names it.
	ErrColdGone = errors.New("no such record")
	// ErrTierUnavailable is returned when a value lies in a tier that cannot be
	// read at the moment. Nothing is lost.
	ErrTierUnavailable = errors.New("tier unavailable")
)
