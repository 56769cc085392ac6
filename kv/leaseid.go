package kv

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
)

// LeaseIDSize is the size of a lease's name in bytes.
const LeaseIDSize = 16

// leasePrefix begins the text of every LeaseID.
const leasePrefix = "l-"

// A LeaseID names a lease. It is drawn at random where the lease is proposed,
// and cannot be guessed. The zero LeaseID is none.
type LeaseID [LeaseIDSize]byte

// ErrBadLease is returned when a text cannot be the name of a lease: no
// lease ever had it.
var ErrBadLease = errors.New("malformed lease id")

// NewLeaseID draws the name of a new lease.
func NewLeaseID() (id LeaseID) {
	rand.Read(id[:]) // never fails
	return id
}

// String returns the text that clients see; of the zero LeaseID it is empty.
func (id LeaseID) String() string {
	if id == (LeaseID{}) {
		return ""
	}
	return string(id.AppendTo(nil))
}

// AppendTo appends the text that clients see to b.
func (id LeaseID) AppendTo(b []byte) []byte {
	return hex.AppendEncode(append(b, leasePrefix...), id[:])
}

// ParseLeaseID reads what String writes, and nothing else. It fails with
// ErrBadLease.
func ParseLeaseID(text string) (id LeaseID, err error) {
	digits, ok := strings.CutPrefix(text, leasePrefix)
	if !ok || len(digits) != 2*LeaseIDSize || strings.ToLower(digits) != digits {
		return LeaseID{}, ErrBadLease
	}
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil || id == (LeaseID{}) {
		return LeaseID{}, ErrBadLease
	}
	return id, nil
}
