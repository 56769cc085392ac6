package persist

import (
	"keywatch/kv"

	bolt "go.etcd.io/bbolt"
)

// Hooked has before and after called around the commit of each transaction of the
// checkpoint file, with its kind, and leaves out the rests between them.
func Hooked(o Options, before func(kind string) error, after func(kind string)) Options {
	o.before, o.after, o.unthrottled, o.unsynced = before, after, true, true
	return o
}

// Early drops deletion records while they still hide something.
func Early(o Options) Options { o.early = true; return o }

// LoadFile loads a checkpoint file alone, without a log, as Open and Load do.
func LoadFile(path string, state *kv.State) (kv.Meta, error) {
	f, h, err := openChecked(path)
	if err != nil {
		return kv.Meta{}, err
	}
	defer f.Close()
	db := &DB{}
	db.file.Store(f)
	if h.seq == 0 {
		return kv.Meta{}, nil
	}
	return h.meta, asDamage(path, db.load(h, state.Load(h.meta)))
}

// Names of the files in a data folder.
const (
	CheckpointName = checkpointName
	CheckpointTemp = checkpointTemp
	RestoringName  = restoringName
)

// RawRecords returns how many records and how many buckets of ranges the file has, named
// by the header or not.
func (db *DB) RawRecords() (records, buckets int) {
	db.file.Load().View(func(tx *bolt.Tx) error {
		ranges := tx.Bucket(bucketRanges)
		return ranges.ForEachBucket(func(k []byte) error {
			buckets++
			return ranges.Bucket(k).ForEach(func(_, _ []byte) error { records++; return nil })
		})
	})
	return records, buckets
}

// Reindex gives the checkpoint another index and term in its header.
func (db *DB) Reindex(index, term uint64) error {
	h := db.head.Load().clone()
	h.index, h.term = index, term
	db.head.Store(h)
	return db.update(db.file.Load(), txHeader, func(tx *bolt.Tx) error { return writeHeader(tx, h) })
}

// RawIdem returns how many idempotency records the file has, named by the header or not.
func (db *DB) RawIdem() (n int) {
	db.file.Load().View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketIdem).ForEach(func(_, _ []byte) error { n++; return nil })
	})
	return n
}
