package persist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"keywatch/persist/disk"

	bolt "go.etcd.io/bbolt"
)

// Compact copies the last checkpoint, without its dead records, into a new file that
// takes the old one's place while the server keeps serving. Checkpoints wait for it. A crash at
// any moment leaves the old file or the new one, which hold the same. It returns when open
// images of the old file have ended, so that its space is free. It fails with ctx's error
// or ErrClosed.
func (db *DB) Compact(ctx context.Context) error {
	old, err := db.compact(ctx)
	if err != nil {
		return fmt.Errorf("compact checkpoint: %w", errors.Join(ctx.Err(), err))
	}
	return old.Close()
}

// compact does it and returns the old file.
func (db *DB) compact(ctx context.Context) (*boltFile, error) {
	if err := db.acquire(ctx.Done()); err != nil {
		return nil, err
	}
	defer db.release()
	h := db.head.Load()
	db.begin("compact", h.live()+h.idem.n)
	defer db.task.End()
	if err := db.loadPinned(ctx); err != nil {
		return nil, err
	}
	temp := filepath.Join(db.dir, checkpointTemp)
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	to, err := openBolt(temp)
	if err != nil {
		return nil, err
	}
	to.light(db.opts.unsynced)
	next, err := db.copyInto(ctx, to)
	if err == nil {
		err = os.Rename(temp, filepath.Join(db.dir, checkpointName))
	}
	if err != nil {
		return nil, errors.Join(err, to.Close(), os.Remove(temp))
	}
	// Both files hold the same now. Which one the name leads to after a crash is open
	// until the folder is synced, and nothing may be written before.
	old := db.file.Swap(to)
	db.head.Store(next)
	db.torn = false
	if err := disk.OS.SyncDir(db.dir); err != nil {
		db.lost = fmt.Errorf("the checkpoint file cannot be written until the next start: %w", err)
		return nil, errors.Join(db.lost, old.Close())
	}
	db.stats.compactions.Add(1)
	return old, nil
}

// copyInto fills a new file and returns its header.
func (db *DB) copyInto(ctx context.Context, to *boltFile) (*header, error) {
	err := db.update(to, txRecords, func(tx *bolt.Tx) error { return createBuckets(tx, new(header)) })
	if err != nil {
		return nil, err
	}
	from, h := db.file.Load(), db.head.Load()
	next := h.clone()
	next.ranges = nil
	for i := 0; i < len(h.ranges); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		end := fullRange(h.ranges, i, &db.opts)
		if err := db.copyRun(from, to, h.ranges[i:end], next); err != nil {
			return nil, err
		}
		i = end
	}
	if err := db.copyIdem(from, to, h); err != nil {
		return nil, err
	}
	if next.leases, err = leaseRecords.copy(db, from, to, next.leases); err != nil {
		return nil, err
	}
	if next.private, err = privateRecords.copy(db, from, to, next.private); err != nil {
		return nil, err
	}
	next.gen = db.gen
	if err := db.update(to, txHeader, func(tx *bolt.Tx) error { return writeHeader(tx, next) }); err != nil {
		return nil, err
	}
	return next, db.seal(to)
}

// fullRange returns the end of the run of ranges from i on whose live records fill one
// range; a run is one range long at least.
func fullRange(ranges []revRange, i int, o *Options) int {
	sum := ranges[i].live
	for i++; i < len(ranges); i++ {
		sum.add(ranges[i].live)
		if sum.n > int64(o.RangeRecords) || sum.bytes > o.RangeBytes {
			break
		}
	}
	return i
}

// copyRun copies the live records of a run. Dead deletions go too: all older ranges have
// been copied without dead puts.
func (db *DB) copyRun(from, to *boltFile, run []revRange, next *header) error {
	var kept batch
	var into revRange
	err := from.read(func(tx *bolt.Tx) (err error) {
		into, err = collect(from, tx, run, true, &kept)
		return err
	})
	if err != nil {
		return asDamage(from.file.Name(), err)
	}
	if into.all.n == 0 {
		return nil
	}
	db.gen++
	into.gen, into.swept = db.gen, next.seq
	next.ranges = append(next.ranges, into)
	for i := range kept.items {
		kept.items[i].rng = len(next.ranges) - 1
	}
	db.task.Add(into.all.n)
	return db.update(to, txRecords, func(tx *bolt.Tx) error { return kept.put(tx, next.ranges) })
}

// copyIdem copies the idempotency records that the header names.
func (db *DB) copyIdem(from, to *boltFile, h *header) error {
	var b batch
	flush := func() error {
		err := db.update(to, txIdem, b.putIdem)
		db.task.Add(int64(len(b.items)))
		b.reset()
		return err
	}
	err := from.read(func(tx *bolt.Tx) error {
		return readIdem(tx, h, func(seq uint64, value []byte) error {
			b.raw(idemKey(seq), value)
			if !b.full(&db.opts) {
				return nil
			}
			return flush()
		})
	})
	if err != nil || len(b.items) == 0 {
		return err
	}
	return flush()
}
