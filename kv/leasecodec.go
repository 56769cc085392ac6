package kv

import (
	"encoding/binary"
	"time"
)

// The fields of a lease command after those that every command has: kind, name,
// and for LeaseGrant TTL and caller.
func appendLeaseCommand(b []byte, l *LeaseCommand) []byte {
	b = append(b, byte(l.Kind))
	b = append(b, l.ID[:]...)
	if l.Kind == LeaseGrant {
		b = binary.AppendVarint(b, ttlMillis(l.TTL))
		b = appendText(b, l.Caller)
	}
	return b
}

func (d *decoder) leaseCommand() *LeaseCommand {
	l := &LeaseCommand{Kind: LeaseKind(d.byte()), ID: d.leaseID()}
	switch l.Kind {
	case LeaseGrant:
		l.TTL, l.Caller = d.givenTTL(), d.text()
	case LeaseKeep, LeaseRevoke:
	default:
		d.fail()
	}
	return l
}

// The fields of a lock command: kind, name of the lock, then what its kind
// needs.
func appendLockCommand(b []byte, l *LockCommand) []byte {
	b = append(b, byte(l.Kind))
	b = appendText(b, l.Name)
	switch l.Kind {
	case LockAcquire:
		b = append(b, l.ID[:]...)
		b = binary.AppendVarint(b, ttlMillis(l.TTL))
		b = binary.AppendVarint(b, ttlMillis(l.WaitTTL))
		b = appendText(b, l.Owner)
		b = appendText(b, l.Caller)
	case LockGiveUp:
		b = append(b, l.ID[:]...)
	case LockKeep, LockRelease:
		b = binary.AppendUvarint(b, uint64(l.Token))
	}
	return b
}

func (d *decoder) lockCommand() *LockCommand {
	l := &LockCommand{Kind: LockKind(d.byte()), Name: d.text()}
	if !LockName(l.Name) {
		d.fail()
	}
	switch l.Kind {
	case LockAcquire:
		l.ID, l.TTL = d.leaseID(), d.givenTTL()
		if l.WaitTTL = d.ttl(); l.WaitTTL < 0 {
			d.fail()
		}
		l.Owner, l.Caller = d.text(), d.text()
	case LockGiveUp:
		l.ID = d.leaseID()
	case LockKeep, LockRelease:
		l.Token = Rev(d.uvarint())
	case LockBreak:
	default:
		d.fail()
	}
	return l
}

func (d *decoder) leaseID() (id LeaseID) {
	copy(id[:], d.bytes(LeaseIDSize))
	if id == (LeaseID{}) {
		d.fail()
	}
	return id
}

// givenTTL reads a TTL that must be one.
func (d *decoder) givenTTL() time.Duration {
	ttl := d.ttl()
	if ttl <= 0 {
		d.fail()
		return 0
	}
	return ttl
}

func appendLeaseParams(b []byte, p Params) []byte {
	for _, v := range [...]int{p.LeaseMax, p.LeasePerCaller, p.LeaseKeys} {
		b = binary.AppendVarint(b, int64(v))
	}
	return b
}

func (d *decoder) leaseParams(p *Params) {
	p.LeaseMax, p.LeasePerCaller, p.LeaseKeys = int(d.varint()), int(d.varint()), int(d.varint())
	if min(p.LeaseMax, p.LeasePerCaller, p.LeaseKeys) <= 0 {
		d.fail()
	}
}
