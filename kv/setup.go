package kv

import (
	"encoding/binary"
	"time"
)

// A Setup changes the state's own settings. The leader proposes one when it
// starts and finds the state's settings differ from its flags, or when a new
// history begins.
type Setup struct {
	// Epoch, if not zero, begins a new history. A state that has lived through
	// revisions lifts its revision by RevLift.
	Epoch  Epoch
	Params Params
}

func appendSetup(b []byte, u Setup) []byte {
	p := u.Params.WithDefaults()
	b = append(b, p.kind())
	b = binary.AppendUvarint(b, uint64(u.Epoch))
	return appendBounds(b, p.kind(), p)
}

// setup reads a command of the given kind: bounds that it does not have yet are the
// defaults.
func (d *decoder) setup(kind byte) Setup {
	return Setup{Epoch: Epoch(d.uvarint()), Params: d.boundsOf(kind)}
}

// kind returns the oldest kind of command that has all bounds of p which are not the
// defaults: releases before this one read it too.
func (p Params) kind() byte {
	if p.WithDefaults().IdemBytes == (Params{}).WithDefaults().IdemBytes {
		return commandSettings
	}
	return commandBounds
}

// appendBounds appends the bounds that a command of the given kind has, which kind
// returned.
func appendBounds(b []byte, kind byte, p Params) []byte {
	b = appendLeaseParams(appendParams(b, p), p)
	if kind == commandBounds {
		b = binary.AppendVarint(b, p.IdemBytes)
	}
	return b
}

// boundsOf reads the bounds that a command of the given kind has.
func (d *decoder) boundsOf(kind byte) Params {
	p := d.params()
	if kind != commandSetup {
		d.leaseParams(&p)
	}
	if kind == commandBounds {
		if p.IdemBytes = d.varint(); p.IdemBytes <= 0 {
			d.fail()
		}
	}
	return p
}

func appendParams(b []byte, p Params) []byte {
	for _, v := range [...]int64{
		int64(p.TombstoneMax), p.TombstoneAge.Milliseconds(), p.IdemAge.Milliseconds(),
		int64(p.IdemMax), int64(p.IdemPerCaller), int64(p.DeleteMax), int64(p.ExpireMax),
	} {
		b = binary.AppendVarint(b, v)
	}
	return b
}

func (d *decoder) params() (p Params) {
	p.TombstoneMax = int(d.varint())
	p.TombstoneAge = time.Duration(d.varint()) * time.Millisecond
	p.IdemAge = time.Duration(d.varint()) * time.Millisecond
	p.IdemMax = int(d.varint())
	p.IdemPerCaller = int(d.varint())
	p.DeleteMax = int(d.varint())
	p.ExpireMax = int(d.varint())
	if min(p.TombstoneMax, p.IdemMax, p.IdemPerCaller, p.DeleteMax, p.ExpireMax) <= 0 ||
		min(p.TombstoneAge, p.IdemAge) <= 0 {
		d.fail()
	}
	return p
}
