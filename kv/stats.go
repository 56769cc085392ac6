package kv

// Stats are figures of a state at one moment.
type Stats struct {
	// Keys counts the keys that exist, Bytes their keys and values together.
	Keys  int
	Bytes int64
	// Tombstones counts the deletions that are remembered.
	Tombstones int
	// Deadlines counts the keys with a TTL.
	Deadlines int
	// IdemRecords counts the idempotency records.
	IdemRecords int
	// Leases counts the leases that live, LeasesGranted and LeasesExpired those
	// that this process saw begin and run out.
	Leases                       int
	LeasesGranted, LeasesExpired uint64
	// Locks counts the locks that are held, LockWaiters the places in their
	// queues; LockGrants the times that a lock was got, and LockWakes those who
	// were woken from a wait because they had got it, both since this process
	// began.
	Locks, LockWaiters    int
	LockGrants, LockWakes uint64
	// Snapshots counts the revisions held open, SnapshotBytes the memory kept for them
	// only, SnapshotsEnded those that were ended early.
	Snapshots      int
	SnapshotBytes  int64
	SnapshotsEnded uint64
	// DirtyKeys and DirtyBytes are what the next checkpoint will write.
	DirtyKeys  int
	DirtyBytes int64
	// Dirty is set if the next checkpoint will hold something new: keys, leases,
	// idempotency or private records. That time has passed is nothing new.
	Dirty bool
	// PrivateRecords counts the private records.
	PrivateRecords int
	// Index is that of the last applied log entry.
	Index uint64
	// Floor is the revision below which deletions are forgotten.
	Floor Rev
	// Time is the log time in milliseconds.
	Time int64
}

// Stats returns the state's figures.
func (s *State) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.mu.machine
	return Stats{
		Keys: m.keys, Bytes: m.bytes,
		Tombstones: m.tombs.live, Deadlines: m.deadlines.Len(), IdemRecords: len(m.idem.byKey),
		Leases: len(m.leases.byID), LeasesGranted: m.leases.granted, LeasesExpired: m.leases.expired,
		Locks: m.locks.held, LockWaiters: m.locks.waiting,
		LockGrants: m.locks.granted, LockWakes: m.locks.woken,
		Snapshots: len(m.snaps.open) - m.snaps.closing, SnapshotBytes: m.snaps.kept, SnapshotsEnded: m.snaps.ended,
		DirtyKeys: len(m.dirty.slots), DirtyBytes: m.dirty.bytes,
		Dirty:          len(m.dirty.slots) > 0 || m.leases.changes != m.leases.saved || m.idem.next != m.idem.saved || m.private.changes != m.private.saved,
		PrivateRecords: m.private.byName.Len(),
		Index:          m.index, Floor: m.floor, Time: m.time,
	}
}

// Len returns the number of keys that exist.
func (s *State) Len() int { return s.Stats().Keys }
