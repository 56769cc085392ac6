package persist

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"keywatch/kv"

	bolt "go.etcd.io/bbolt"
)

var _ kv.ColdReader = (*DB)(nil)

// maxReading is how many cold values are read at once. The file is mapped: a page
// that is not in memory stops a processor of the Go scheduler until the disk has
// answered, and half of them are to stay for those who need no disk.
func maxReading() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// ReadCold implements kv.ColdReader for what the last checkpoint holds. It reads in
// a short transaction of its own. Once the DB is closed it fails with
// kv.ErrTierUnavailable.
func (db *DB) ReadCold(ctx context.Context, ref kv.ColdRef) (string, error) {
	if ref.Tier != kv.TierDisk {
		return "", fmt.Errorf("%w: no %s tier", kv.ErrTierUnavailable, ref.Tier)
	}
	select {
	case db.reading <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-db.reading }()
	file, tx, err := db.view()
	if err != nil {
		return "", fmt.Errorf("%w: %w", kv.ErrTierUnavailable, err)
	}
	var value string
	path := file.file.Name()
	err = guard(path, func() (err error) {
		defer tx.Rollback() // fails only if it has ended
		value, err = readValue(tx, ref)
		file.pages.read(tx)
		return err
	})
	if err == nil || errors.Is(err, kv.ErrColdGone) {
		return value, err
	}
	return "", asDamage(path, err)
}

// readValue reads one value. The range is found in the file and not in the header in
// memory, which may belong to another transaction: of the ranges that begin at or below
// a revision the last is the only one that can hold it. Leftovers of a failed
// checkpoint begin above everything that a cold entry can name.
func readValue(tx *bolt.Tx, ref kv.ColdRef) (string, error) {
	ranges := tx.Bucket(bucketRanges)
	c := ranges.Cursor()
	name, _ := c.Seek(rangeName(ref.At.Rev+1, 0))
	if name == nil {
		name, _ = c.Last()
	} else {
		name, _ = c.Prev()
	}
	if name == nil {
		return "", kv.ErrColdGone
	}
	value := ranges.Bucket(name).Get(appendLocator(make([]byte, 0, locatorSize), ref.At))
	if value == nil {
		return "", kv.ErrColdGone
	}
	if len(value) == 0 || value[0] != flagPut {
		return "", at(tx, value, fmt.Errorf("record %d.%d is not a value", ref.At.Rev, ref.At.Ordinal))
	}
	text, err := ref.ParseValue(value[1:])
	if err != nil {
		return "", at(tx, value, err)
	}
	return text, nil
}

// loadPinned has those values fetched that open snapshots see and that dead records
// hold.
func (db *DB) loadPinned(ctx context.Context) error {
	if db.opts.LoadPinned == nil {
		return nil
	}
	return db.opts.LoadPinned(ctx)
}
