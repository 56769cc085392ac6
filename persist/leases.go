package persist

import (
	"keywatch/kv"

	bolt "go.etcd.io/bbolt"
)

// leaseRecords are the leases. Every checkpoint writes them: those that live are renewed all
// the time, so that nearly all of them have changed anyway.
var leaseRecords = recordKind{
	bucket: "leases", words: "leases",
	valid: func(name []byte) bool { return len(name) == kv.LeaseIDSize },
}

// writeLeases writes the leases of the sink's checkpoint.
func (s *sink) writeLeases() (err error) {
	s.next.leases, err = leaseRecords.write(s.db, s.file, func(give giveRecord) error {
		for id, value := range s.cp.Leases() {
			if err := give(id[:], value); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// readLeases gives the leases and checks that they are what was written.
func (h *header) readLeases(tx *bolt.Tx, give func(kv.LeaseID, []byte) error) error {
	return leaseRecords.read(tx, &h.leases, func(name, value []byte) error { return give(kv.LeaseID(name), value) })
}
