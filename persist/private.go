package persist

import (
	"keywatch/kv"

	bolt "go.etcd.io/bbolt"
)

// privateRecords are the private records. Only a checkpoint that finds them changed writes
// them: its header names the bucket of an earlier one until then.
var privateRecords = recordKind{
	bucket: "private", words: "private records",
	valid: func(name []byte) bool { return len(name) <= kv.PrivateNameMax },
}

// writePrivate writes the private records of the sink's checkpoint, if they have changed.
func (s *sink) writePrivate() (err error) {
	if !s.cp.PrivateChanged() {
		return nil
	}
	s.next.private, err = privateRecords.write(s.db, s.file, func(give giveRecord) error {
		for name, value := range s.cp.Private() {
			if err := give([]byte(name), value); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// readPrivate gives the private records and checks that they are what was written.
func (h *header) readPrivate(tx *bolt.Tx, give func(string, []byte) error) error {
	return privateRecords.read(tx, &h.private, func(name, value []byte) error { return give(string(name), value) })
}
