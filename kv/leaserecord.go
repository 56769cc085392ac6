package kv

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
)

// A leaseRecord is a lease as a checkpoint holds it. The keys say which of them are
// attached to it, and whether it holds its lock.
type leaseRecord struct {
	id                  LeaseID
	caller, lock, owner string
	ttl, hold, deadline int64
}

// leaseRecordVersion is the layout of a lease's bytes:
//
//	byte    leaseRecordVersion
//	uvarint TTL, deadline, TTL as a holder
//	text    caller, lock, owner
//	uint32  CRC-32C of the name and all of the above, little-endian
const leaseRecordVersion = 1

func (l *leaseRecord) appendTo(b []byte) []byte {
	start := len(b)
	b = append(b, leaseRecordVersion)
	for _, v := range [...]int64{l.ttl, l.deadline, l.hold} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	for _, s := range [...]string{l.caller, l.lock, l.owner} {
		b = appendText(b, s)
	}
	return binary.LittleEndian.AppendUint32(b, leaseSum(l.id, b[start:]))
}

func leaseSum(id LeaseID, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(id[:], castagnoli), castagnoli, b)
}

// parseLeaseRecord reads what appendTo wrote. It fails with an error that matches
// ErrDamaged or ErrNewer.
func parseLeaseRecord(id LeaseID, b []byte) (l leaseRecord, err error) {
	end := len(b) - 4
	if end < 1 || binary.LittleEndian.Uint32(b[end:]) != leaseSum(id, b[:end]) {
		return l, badLease(id)
	}
	if b[0] > leaseRecordVersion {
		return l, newer(fmt.Sprintf("lease %x", id[:4]), b[0], leaseRecordVersion)
	}
	d := decoder{b: slices.Clone(b[1:end])}
	l.id = id
	l.ttl, l.deadline, l.hold = int64(d.uvarint()), int64(d.uvarint()), int64(d.uvarint())
	l.caller, l.lock, l.owner = d.text(), d.text(), d.text()
	sound := l.ttl > 0 && l.deadline > 0 && l.hold >= 0 && (l.lock == "" || LockName(l.lock))
	if !sound || d.bad || len(d.b) != 0 || b[0] != leaseRecordVersion {
		return l, badLease(id)
	}
	return l, nil
}

// A KeptLease is a lease as a checkpoint has it.
type KeptLease struct {
	ID LeaseID
	// Caller is for whom it counts, Lock the lock that it is for and Owner what its holder says of
	// itself; "" for none.
	Caller, Lock, Owner string
	// TTL is what it was granted for, Deadline the log time after which it ends, in milliseconds.
	TTL, Deadline int64
}

// ParseLease reads the bytes of a lease in a checkpoint. It fails with an error that matches
// ErrDamaged or ErrNewer.
func ParseLease(id LeaseID, b []byte) (KeptLease, error) {
	l, err := parseLeaseRecord(id, b)
	return KeptLease{l.id, l.caller, l.lock, l.owner, l.ttl, l.deadline}, err
}

func badLease(id LeaseID) error { return fmt.Errorf("%w: lease %x", ErrDamaged, id[:4]) }

// AddLease takes the lease with the given name. All leases come before Done. It
// fails with an error that matches ErrDamaged or ErrNewer.
func (l *Loader) AddLease(id LeaseID, b []byte) error {
	t := &l.state.mu.leases
	rec, err := parseLeaseRecord(id, b)
	if err != nil {
		return err
	}
	if id == (LeaseID{}) || t.byID[id] != nil {
		return badLease(id)
	}
	t.add(&lease{
		id: id, caller: strings.Clone(rec.caller), lock: rec.lock, owner: rec.owner,
		ttl: rec.ttl, hold: rec.hold, deadline: rec.deadline,
	})
	return nil
}

// attach attaches the key of sl, which comes in order of key, to its lease, and
// notes what it means as a key of a lock.
func (l *Loader) attach(sl *slot) error {
	m, e := &l.state.mu.machine, sl.cur.Load()
	if e.Deleted() {
		return nil
	}
	if e.lease() != nil {
		known := m.leases.byID[e.lease().id]
		if known == nil {
			return fmt.Errorf("%w: key %.80q is attached to a lease that is missing", ErrDamaged, sl.key())
		}
		e.end.lease = known
		m.leases.attach(known, sl)
	}
	if strings.HasPrefix(sl.key(), ReservedPrefix) {
		m.locks.changed(sl, nil)
	}
	return nil
}
