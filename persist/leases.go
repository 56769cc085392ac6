package persist

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"keywatch/kv"

	bolt "go.etcd.io/bbolt"
)

// Leases are written whole by each checkpoint, into a bucket of their own that
// the header names: those that live are renewed all the time, so that nearly
// all of them have changed anyway. The bucket of the checkpoint before is
// trimmed.

const txLeases = "leases"

// bucketLeases holds one bucket of leases, by name, for each generation.
var bucketLeases = []byte("leases")

// A leaseHead says where a checkpoint's leases are.
type leaseHead struct {
	// gen names their bucket; 0 if there are none.
	gen uint64
	all tally
}

func (l *leaseHead) name() []byte { return binary.BigEndian.AppendUint64(nil, l.gen) }

// writeLeases writes the leases of the sink's checkpoint.
func (s *sink) writeLeases() error {
	return s.db.putLeases(s.file, s.next, func(give func(kv.LeaseID, []byte) error) error {
		for id, value := range s.cp.Leases() {
			if err := give(id, value); err != nil {
				return err
			}
		}
		return nil
	})
}

// copyLeases copies the leases that the header names.
func (db *DB) copyLeases(from, to *boltFile, next *header) error {
	old := next.leases
	return db.putLeases(to, next, func(give func(kv.LeaseID, []byte) error) error {
		return from.read(func(tx *bolt.Tx) error { return old.read(tx, give) })
	})
}

// putLeases writes what each hands over, in order of name, into a new bucket, and
// names that in the header.
func (db *DB) putLeases(to *boltFile, next *header, each func(give func(kv.LeaseID, []byte) error) error) error {
	db.gen++
	head := leaseHead{gen: db.gen}
	var b batch
	flush := func() error {
		err := db.update(to, txLeases, func(tx *bolt.Tx) error { return b.putLeases(tx, head.name()) })
		db.found(len(b.items))
		b.reset()
		return err
	}
	err := each(func(id kv.LeaseID, value []byte) error {
		b.raw(id[:], value)
		head.all.add(b.item(len(b.items) - 1))
		if !b.full(&db.opts) {
			return nil
		}
		return flush()
	})
	if err == nil && len(b.items) > 0 {
		err = flush()
	}
	if head.all.n == 0 {
		head = leaseHead{}
	}
	next.leases = head
	return err
}

// putLeases writes the batch into the bucket of leases with the given name, which
// it makes if need be.
func (b *batch) putLeases(tx *bolt.Tx, name []byte) error {
	all, err := tx.CreateBucketIfNotExists(bucketLeases) // an older release made none
	if err != nil {
		return err
	}
	bucket, err := all.CreateBucketIfNotExists(name)
	if err != nil {
		return err
	}
	bucket.FillPercent = fillPercent
	for i := range b.items {
		if err := bucket.Put(b.item(i)); err != nil {
			return err
		}
	}
	return nil
}

// read hands over the leases and checks that they are what was written.
func (l *leaseHead) read(tx *bolt.Tx, give func(kv.LeaseID, []byte) error) error {
	if l.gen == 0 {
		return nil
	}
	var bucket *bolt.Bucket
	if leases := tx.Bucket(bucketLeases); leases != nil {
		bucket = leases.Bucket(l.name())
	}
	if bucket == nil {
		return fmt.Errorf("the bucket of %d leases is missing", l.all.n)
	}
	var all tally
	c := bucket.Cursor()
	first, _ := c.First()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if len(k) != kv.LeaseIDSize {
			return at(tx, k, fmt.Errorf("lease %x is malformed", k))
		}
		all.add(k, v)
		if err := give(kv.LeaseID(k), slices.Clone(v)); err != nil {
			return at(tx, v, err)
		}
	}
	if all != l.all {
		return at(tx, first, fmt.Errorf("%d leases in %d bytes with sum %x, want %d, %d and %x",
			all.n, all.bytes, all.sum, l.all.n, l.all.bytes, l.all.sum))
	}
	return nil
}

// trimLeases removes a bucket of leases that the header does not name, and
// returns whether there was one.
func (h *header) trimLeases(tx *bolt.Tx) (bool, error) {
	leases := tx.Bucket(bucketLeases)
	if leases == nil {
		return false, nil
	}
	c := leases.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if !bytes.Equal(k, h.leases.name()) {
			return true, leases.DeleteBucket(bytes.Clone(k))
		}
	}
	return false, nil
}
