package persist

import (
	"bytes"
	"encoding/binary"
	"errors"

	bolt "go.etcd.io/bbolt"
)

// errTrimmed undoes a transaction that had nothing to trim.
var errTrimmed = errors.New("nothing to trim")

// trim removes what the header does not name: leftovers of a failed checkpoint and
// expired idempotency records.
func (db *DB) trim(f *boltFile) error {
	h := db.head.Load()
	for {
		err := db.update(f, txTrim, func(tx *bolt.Tx) error {
			n, err := trimSome(tx, h, db.opts.TxRecords)
			db.task.Add(int64(n))
			return err
		})
		if errors.Is(err, errTrimmed) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// trimSome is one transaction of trim: a bucket or some idempotency records. It returns how
// many of either, and errTrimmed if there is nothing left to do.
func trimSome(tx *bolt.Tx, h *header, most int) (n int, err error) {
	ranges := tx.Bucket(bucketRanges)
	names := make(map[string]bool, len(h.ranges))
	for i := range h.ranges {
		names[string(h.ranges[i].name())] = true
	}
	c := ranges.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if !names[string(k)] {
			return 1, ranges.DeleteBucket(bytes.Clone(k))
		}
	}
	if found, err := leaseRecords.trim(tx, &h.leases); found || err != nil {
		return 1, err
	}
	if found, err := privateRecords.trim(tx, &h.private); found || err != nil {
		return 1, err
	}
	idem := tx.Bucket(bucketIdem)
	keys := h.unnamedIdem(idem, most)
	if len(keys) == 0 {
		return 0, errTrimmed
	}
	for _, k := range keys {
		if err := idem.Delete(k); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}

// unnamedIdem returns the keys of at most so many idempotency records that the header does not
// name: expired ones, which come before those that it names, and leftovers of a failed
// checkpoint, which come behind. It must see the bucket before anything is deleted from it in the
// transaction: a cursor of bbolt does not return from Last once every leaf was emptied.
func (h *header) unnamedIdem(idem *bolt.Bucket, most int) (keys [][]byte) {
	c := idem.Cursor()
	k, _ := c.First()
	for k != nil && len(keys) < most {
		if h.namesIdem(k) {
			k, _ = c.Seek(idemKey(h.meta.IdemNext))
			continue
		}
		keys = append(keys, bytes.Clone(k))
		k, _ = c.Next()
	}
	return keys
}

// namesIdem tells whether the header names the idempotency record with a key.
func (h *header) namesIdem(key []byte) bool {
	seq := binary.BigEndian.Uint64(key)
	return seq >= h.meta.IdemFirst && seq < h.meta.IdemNext
}
