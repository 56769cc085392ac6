package persist

import (
	"errors"
	"fmt"
	"slices"

	"keywatch/kv"

	bolt "go.etcd.io/bbolt"
)

// leastSweep is how many bytes a round of sweeping may read however small the checkpoint
// was that began it.
const leastSweep = 64 << 20

// tidy removes what the header names no more, and sweeps. It follows a committed checkpoint,
// of which written bytes are new; what it cannot do is left to the next one.
func (db *DB) tidy(written int64) {
	err := db.trim(db.file.Load())
	if err == nil {
		ctx, cancel := db.whileGoing()
		err = db.loadPinned(ctx)
		cancel()
	}
	if err == nil {
		err = db.sweep(max(leastSweep, 4*written))
	}
	if err != nil && !errors.Is(err, ErrClosed) {
		db.log.Error("checkpoint not swept", "err", err)
	}
}

// bytesSince returns the bytes of the ranges written after checkpoint seq.
func (h *header) bytesSince(seq uint64) (n int64) {
	for i := range h.ranges {
		if h.ranges[i].written > seq {
			n += h.ranges[i].all.bytes
		}
	}
	return n
}

// sweep rewrites the ranges that are due, the oldest first, until it has read about
// budget bytes. Ranges that wait for an older one to be clean are due once that is rewritten, so
// it plans again until nothing is due. That ends: every job removes records or makes
// ranges fewer.
func (db *DB) sweep(budget int64) error {
	for budget > 0 {
		jobs := db.head.Load().plan(&db.opts)
		if len(jobs) == 0 {
			return nil
		}
		jobs, budget = db.afford(jobs, budget)
		// From the newest, so that places before a job stay what they were.
		for _, j := range slices.Backward(jobs) {
			if err := db.rewrite(j); err != nil {
				return err
			}
		}
	}
	return nil
}

// afford returns the first of jobs, until they read about budget bytes, and what is left of it.
func (db *DB) afford(jobs []job, budget int64) ([]job, int64) {
	ranges := db.head.Load().ranges
	for i, j := range jobs {
		if budget <= 0 {
			return jobs[:i], budget
		}
		for _, r := range ranges[j.from:j.to] {
			budget -= r.all.bytes
			db.task.Expect(r.all.n)
		}
	}
	return jobs, budget
}

// rewrite puts the survivors of a run of ranges into one new range, in one transaction.
func (db *DB) rewrite(j job) error {
	file, next := db.file.Load(), db.head.Load().clone()
	old := next.ranges[j.from:j.to]
	kept := batch{buf: make([]byte, 0, liveBytes(old))}
	var into revRange
	err := file.read(func(tx *bolt.Tx) (err error) {
		into, err = collect(file, tx, old, j.bury, &kept)
		return err
	})
	if err != nil {
		return asDamage(file.file.Name(), err)
	}
	db.gen++
	into.gen, into.swept, next.gen = db.gen, next.seq, db.gen
	names := make([][]byte, len(old))
	for i := range old {
		names[i] = old[i].name()
	}
	for i := range old {
		db.task.Add(old[i].all.n)
	}
	db.stats.swept(old, into)
	var in []revRange
	if into.all.n > 0 {
		in = []revRange{into}
	}
	next.ranges = slices.Replace(next.ranges, j.from, j.to, in...)
	err = db.update(file, txSweep, func(tx *bolt.Tx) error {
		if err := kept.put(tx, in); err != nil {
			return err
		}
		for _, name := range names {
			if err := tx.Bucket(bucketRanges).DeleteBucket(name); err != nil {
				return err
			}
		}
		return writeHeader(tx, next)
	})
	if err == nil {
		db.head.Store(next)
	}
	return err
}

// liveBytes returns about how many bytes survive of a run of ranges.
func liveBytes(run []revRange) (n int64) {
	for i := range run {
		n += run[i].live.bytes
	}
	return n
}

// collect reads a run of ranges and puts what stays into kept: live records and, unless
// bury is set, dead deletions. It returns the range that these make up, without a
// generation. It fails if a range does not hold what the header says.
func collect(file *boltFile, tx *bolt.Tx, run []revRange, bury bool, kept *batch) (into revRange, err error) {
	for i := range run {
		r := &run[i]
		into.written = max(into.written, r.written)
		if err := r.survivors(file, tx, bury, kept, &into); err != nil {
			return into, err
		}
	}
	return into, nil
}

// survivors is collect for one range.
func (r *revRange) survivors(file *boltFile, tx *bolt.Tx, bury bool, kept *batch, into *revRange) error {
	bucket := r.bucket(tx)
	if bucket == nil {
		return fmt.Errorf("bucket of revisions %d to %d is missing", r.first, r.last)
	}
	gone := slices.SortedFunc(slices.Values(r.gone), compareLocators)
	var all tally
	c := bucket.Cursor()
	first, _ := c.First()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		place, ok := parseLocator(k)
		if !ok || len(v) == 0 || v[0] > flagDeletion {
			return at(tx, k, fmt.Errorf("record %x of revisions %d to %d is malformed", k, r.first, r.last))
		}
		all.add(k, v)
		file.pages.read(tx)
		dead := len(gone) > 0 && gone[0] == place
		if dead {
			gone = gone[1:]
			if bury || v[0] == flagPut {
				continue
			}
		}
		kept.raw(k, v)
		into.take(place, k, v, dead)
	}
	if all != r.all || len(gone) > 0 {
		return at(tx, first, fmt.Errorf("revisions %d to %d: %d records in %d bytes with sum %x, want %d, %d and %x",
			r.first, r.last, all.n, all.bytes, all.sum, r.all.n, r.all.bytes, r.all.sum))
	}
	return nil
}

// take counts a record that is put into the range.
func (r *revRange) take(at kv.Locator, key, value []byte, dead bool) {
	if r.all.n == 0 {
		r.first = at.Rev
	}
	r.last = at.Rev
	r.all.add(key, value)
	if dead {
		r.gone = append(r.gone, at)
		return
	}
	r.live.add(count{1, int64(len(key) + len(value))})
}

// compareLocators orders records as the file does.
func compareLocators(a, b kv.Locator) int {
	switch {
	case a.Rev != b.Rev && a.Rev < b.Rev, a.Rev == b.Rev && a.Ordinal < b.Ordinal:
		return -1
	case a == b:
		return 0
	}
	return 1
}
