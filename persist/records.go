package persist

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// A recordKind is a kind of records that a checkpoint writes whole, into a bucket of their own
// that the header names. The bucket of the checkpoint before is trimmed.
type recordKind struct {
	// bucket holds one bucket of records, by name, for each generation. Transactions are
	// labelled with it, too.
	bucket string
	// words are what errors call the records.
	words string
	// valid reports whether a record may have a name.
	valid func(name []byte) bool
}

// A recordHead says where a checkpoint's records of one kind are.
type recordHead struct {
	// gen names their bucket; 0 if there are none.
	gen uint64
	all tally
}

func (h *recordHead) name() []byte { return binary.BigEndian.AppendUint64(nil, h.gen) }

// A giveRecord is given one record. It may keep the value but not the name.
type giveRecord func(name, value []byte) error

// write writes what each gives, in order of name, into a new bucket, and returns where that is.
func (k *recordKind) write(db *DB, to *boltFile, each func(giveRecord) error) (recordHead, error) {
	db.gen++
	head := recordHead{gen: db.gen}
	var b batch
	flush := func() error {
		err := db.update(to, k.bucket, func(tx *bolt.Tx) error { return k.put(tx, head.name(), &b) })
		db.found(len(b.items))
		b.reset()
		return err
	}
	err := each(func(name, value []byte) error {
		b.raw(name, value)
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
		head = recordHead{}
	}
	return head, err
}

// put writes the batch into the bucket with the given name, which it makes if need be.
func (k *recordKind) put(tx *bolt.Tx, name []byte, b *batch) error {
	all, err := tx.CreateBucketIfNotExists([]byte(k.bucket)) // an older release made none
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

// copy copies the records that old names, and returns where the copy is.
func (k *recordKind) copy(db *DB, from, to *boltFile, old recordHead) (recordHead, error) {
	if old.gen == 0 {
		return old, nil
	}
	return k.write(db, to, func(give giveRecord) error {
		return from.read(func(tx *bolt.Tx) error { return k.read(tx, &old, give) })
	})
}

// read gives the records and checks that they are what was written.
func (k *recordKind) read(tx *bolt.Tx, h *recordHead, give giveRecord) error {
	if h.gen == 0 {
		return nil
	}
	var bucket *bolt.Bucket
	if all := tx.Bucket([]byte(k.bucket)); all != nil {
		bucket = all.Bucket(h.name())
	}
	if bucket == nil {
		return fmt.Errorf("the bucket of %d %s is missing", h.all.n, k.words)
	}
	var all tally
	c := bucket.Cursor()
	first, _ := c.First()
	for name, value := c.First(); name != nil; name, value = c.Next() {
		if !k.valid(name) {
			return at(tx, name, fmt.Errorf("among the %s the name %.80q is malformed", k.words, name))
		}
		all.add(name, value)
		if err := give(name, slices.Clone(value)); err != nil {
			return at(tx, value, err)
		}
	}
	if all != h.all {
		return at(tx, first, fmt.Errorf("%d %s in %d bytes with sum %x, want %d, %d and %x",
			all.n, k.words, all.bytes, all.sum, h.all.n, h.all.bytes, h.all.sum))
	}
	return nil
}

// filter removes the records for whose names keep returns false, and returns where the others are.
func (k *recordKind) filter(tx *bolt.Tx, h recordHead, keep func(name string) bool) (recordHead, error) {
	if h.gen == 0 {
		return h, nil
	}
	bucket := tx.Bucket([]byte(k.bucket)).Bucket(h.name())
	var gone [][]byte
	c := bucket.Cursor()
	for name, value := c.First(); name != nil; name, value = c.Next() {
		if !keep(string(name)) {
			gone = append(gone, bytes.Clone(name))
			h.all.remove(name, value)
		}
	}
	for _, name := range gone {
		if err := bucket.Delete(name); err != nil {
			return h, err
		}
	}
	if h.all.n == 0 {
		h = recordHead{}
	}
	return h, nil
}

// trim removes a bucket of records other than kept, and returns whether there was one.
func (k *recordKind) trim(tx *bolt.Tx, kept *recordHead) (bool, error) {
	all := tx.Bucket([]byte(k.bucket))
	if all == nil {
		return false, nil
	}
	c := all.Cursor()
	for name, _ := c.First(); name != nil; name, _ = c.Next() {
		if !bytes.Equal(name, kept.name()) {
			return true, all.DeleteBucket(bytes.Clone(name))
		}
	}
	return false, nil
}
