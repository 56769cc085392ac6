package persist

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"keywatch/kv"

	bolt "go.etcd.io/bbolt"
)

// Private records are written whole, as leases are, but only by a checkpoint that finds them
// changed: the header names the bucket of an earlier one until then.

const txPrivate = "private"

// bucketPrivate holds one bucket of private records, by name, for each generation. A file
// without private records has none.
var bucketPrivate = []byte("private")

// A privateHead says where a checkpoint's private records are.
type privateHead struct {
	// gen names their bucket; 0 if there are none.
	gen uint64
	all tally
}

func (p *privateHead) name() []byte { return binary.BigEndian.AppendUint64(nil, p.gen) }

// writePrivate writes the private records of the sink's checkpoint, if they have changed.
func (s *sink) writePrivate() error {
	if !s.cp.PrivateChanged() {
		return nil
	}
	return s.db.putPrivate(s.file, s.next, func(give func(string, []byte) error) error {
		for name, value := range s.cp.Private() {
			if err := give(name, value); err != nil {
				return err
			}
		}
		return nil
	})
}

// copyPrivate copies the private records that the header names.
func (db *DB) copyPrivate(from, to *boltFile, next *header) error {
	old := next.private
	if old.gen == 0 {
		return nil
	}
	return db.putPrivate(to, next, func(give func(string, []byte) error) error {
		return from.read(func(tx *bolt.Tx) error { return old.read(tx, give) })
	})
}

// putPrivate writes what each hands over, in order of name, into a new bucket, and names that
// in the header.
func (db *DB) putPrivate(to *boltFile, next *header, each func(give func(string, []byte) error) error) error {
	db.gen++
	head := privateHead{gen: db.gen}
	var b batch
	flush := func() error {
		err := db.update(to, txPrivate, func(tx *bolt.Tx) error { return b.putPrivate(tx, head.name()) })
		db.found(len(b.items))
		b.reset()
		return err
	}
	err := each(func(name string, value []byte) error {
		b.raw([]byte(name), value)
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
		head = privateHead{}
	}
	next.private = head
	return err
}

// putPrivate writes the batch into the bucket of private records with the given name, which it
// makes if need be.
func (b *batch) putPrivate(tx *bolt.Tx, name []byte) error {
	all, err := tx.CreateBucketIfNotExists(bucketPrivate)
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

// read hands over the private records and checks that they are what was written.
func (p *privateHead) read(tx *bolt.Tx, give func(string, []byte) error) error {
	if p.gen == 0 {
		return nil
	}
	var bucket *bolt.Bucket
	if private := tx.Bucket(bucketPrivate); private != nil {
		bucket = private.Bucket(p.name())
	}
	if bucket == nil {
		return fmt.Errorf("the bucket of %d private records is missing", p.all.n)
	}
	var all tally
	c := bucket.Cursor()
	first, _ := c.First()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if len(k) > kv.PrivateNameMax {
			return at(tx, k, fmt.Errorf("private record %.80q is malformed", k))
		}
		all.add(k, v)
		if err := give(string(k), slices.Clone(v)); err != nil {
			return at(tx, v, err)
		}
	}
	if all != p.all {
		return at(tx, first, fmt.Errorf("%d private records in %d bytes with sum %x, want %d, %d and %x",
			all.n, all.bytes, all.sum, p.all.n, p.all.bytes, p.all.sum))
	}
	return nil
}

// trimPrivate removes a bucket of private records that the header does not name, and returns
// whether there was one.
func (h *header) trimPrivate(tx *bolt.Tx) (bool, error) {
	private := tx.Bucket(bucketPrivate)
	if private == nil {
		return false, nil
	}
	c := private.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if !bytes.Equal(k, h.private.name()) {
			return true, private.DeleteBucket(bytes.Clone(k))
		}
	}
	return false, nil
}
