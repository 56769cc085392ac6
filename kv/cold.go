package kv

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"unsafe"
)

// A Tier says where a value is.
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
	// At is the version: its revision and its place within. A value on disk is
	// recorded under it.
	At Locator
	// Size is the length of the value in bytes, Hash the first of its SHA-256.
	Size int
	Hash [HashSize]byte
	// Place is what an object tier has noted of where the value is; empty for
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
	// ErrTierUnavailable is returned when a value is in a tier that cannot be
	// read at the moment. Nothing is lost.
	ErrTierUnavailable = errors.New("tier unavailable")
)

// Cold reports whether the entry's value is not in memory. Value panics then;
// Store.Get, State.Resolve and Snapshot.Resolve return entries that are not.
func (e *Entry) Cold() bool { return e.cold }

// Tier returns where the value is or, of an entry that was read from a slower
// tier for this caller, where it lay before.
func (e *Entry) Tier() Tier { return e.tier }

// What a cold entry keeps of its value: hash, size, place.
const coldHead = HashSize + 8

// coldForm returns what a cold entry keeps of a value.
func coldForm(hash []byte, size int, place string) string {
	b := make([]byte, 0, coldHead+len(place))
	b = append(b, hash[:HashSize]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	return string(append(b, place...))
}

func (e *Entry) coldSize() int {
	return int(binary.LittleEndian.Uint64([]byte(e.data()[HashSize:coldHead])))
}

// ref names the value of e, which is cold.
func (e *Entry) ref(key string) ColdRef {
	form := e.data()
	r := ColdRef{Tier: e.tier, Key: key, At: Locator{e.Mod, e.ordinal}, Size: e.coldSize(), Place: form[coldHead:]}
	copy(r.Hash[:], form)
	return r
}

// with returns a copy of e that has another value, in another tier.
func (e *Entry) with(value string, tier Tier, cold bool) *Entry {
	c := newEntry(value)
	c.Mod, c.Create, c.Version, c.end = e.Mod, e.Create, e.Version, e.end
	c.ordinal, c.kind, c.tier, c.cold = e.ordinal, e.kind, tier, cold
	c.prev.Store(e.prev.Load())
	return c
}

// cooled returns e as it is once its value has left memory.
func (e *Entry) cooled() *Entry {
	if e.cached {
		return e.reference()
	}
	value := e.data()
	hash := sha256.Sum256(unsafe.Slice(unsafe.StringData(value), len(value)))
	return e.with(coldForm(hash[:], len(value), ""), TierDisk, true)
}

// equals reports whether the value of e is v. Of a cold entry the length and 128
// bits of SHA-256 are compared, so that every node comes to the same verdict
// whether it has the value in memory or not.
func (e *Entry) equals(v []byte) bool {
	if !e.cold {
		return e.Value() == string(v)
	}
	if e.coldSize() != len(v) {
		return false
	}
	hash := sha256.Sum256(v)
	return e.data()[:HashSize] == string(hash[:HashSize])
}
