package kv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// metaVersion is the layout of Meta's bytes. Version 1 had no bounds on leases, version 2
// none on the bytes of outcomes: it is written as long as that has its default, so that the
// release before can open the folder. Version 4 has a roster, and is written if there is one.
const metaVersion = 4

// metaKinds are the commands whose bounds a meta has, by its version.
var metaKinds = [...]byte{1: commandSetup, 2: commandSettings, 3: commandBounds, 4: commandBounds}

// metaPrivate in the version of a meta says that the auth revision stands at the end. It is
// written once there was a private command: releases that do not know of it refuse the folder
// then, instead of serving it without asking who may.
const metaPrivate = 0x40

// Meta is what a checkpoint knows beside its records: how far it reaches and
// the settings of the state.
type Meta struct {
	// Index and Term are those of the last log entry that the checkpoint holds.
	Index, Term uint64
	At          Position
	// Time is the log time in milliseconds.
	Time int64
	// Floor is the revision below which deletions are forgotten.
	Floor  Rev
	Params Params
	// IdemFirst and IdemNext bound the sequence numbers of the idempotency
	// records: those from IdemFirst to before IdemNext are held.
	IdemFirst, IdemNext uint64
	// Roster is the text of the roster; empty for a store with one server.
	Roster string
	// Auth is the auth revision, see PrivateCommand.Narrow; 0 until there was a private command.
	Auth Rev
}

// AppendTo appends the bytes of the meta, which end in a CRC-32C, to b.
func (m Meta) AppendTo(b []byte) []byte {
	start := len(b)
	kind := m.Params.kind()
	version := byte(bytes.IndexByte(metaKinds[:], kind))
	if m.Roster != "" {
		version, kind = metaVersion, commandBounds
	}
	b = append(b, version)
	for _, v := range [...]uint64{
		m.Index, m.Term, uint64(m.At.Epoch), uint64(m.At.Rev), uint64(m.Time),
		uint64(m.Floor), m.IdemFirst, m.IdemNext,
	} {
		b = binary.AppendUvarint(b, v)
	}
	b = appendBounds(b, kind, m.Params)
	if m.Roster != "" {
		b = appendText(b, m.Roster)
	}
	if m.Auth != 0 {
		b[start] |= metaPrivate
		b = binary.AppendUvarint(b, uint64(m.Auth))
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// newer returns the error for what has a version above the one that is known.
func newer(what string, found, known byte) error {
	return fmt.Errorf("%w: %s has version %d, and this release knows %d", ErrNewer, what, found, known)
}

// ParseMeta reads what AppendTo wrote. It fails with an error that matches
// ErrDamaged or ErrNewer.
func ParseMeta(b []byte) (m Meta, err error) {
	if len(b) < 5 || binary.LittleEndian.Uint32(b[len(b)-4:]) != crc32.Checksum(b[:len(b)-4], castagnoli) {
		return m, fmt.Errorf("%w: checkpoint meta: checksum mismatch", ErrDamaged)
	}
	d := decoder{b: b[:len(b)-4]}
	first := d.byte()
	v, private := first&^metaPrivate, first&metaPrivate != 0
	if v > metaVersion {
		return m, newer("checkpoint meta", first, metaVersion)
	}
	if v < 1 {
		return m, fmt.Errorf("%w: checkpoint meta: unknown version %d", ErrDamaged, v)
	}
	m.Index, m.Term = d.uvarint(), d.uvarint()
	m.At = Position{Epoch(d.uvarint()), Rev(d.uvarint())}
	m.Time, m.Floor = int64(d.uvarint()), Rev(d.uvarint())
	m.IdemFirst, m.IdemNext = d.uvarint(), d.uvarint()
	m.Params = d.boundsOf(metaKinds[v]).WithDefaults()
	if v == metaVersion {
		m.Roster = d.roster()
	}
	if private {
		if m.Auth = Rev(d.uvarint()); m.Auth == 0 {
			d.fail()
		}
	}
	if d.bad || len(d.b) != 0 {
		return m, fmt.Errorf("%w: checkpoint meta: malformed", ErrDamaged)
	}
	return m, nil
}
