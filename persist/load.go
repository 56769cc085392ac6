package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"keywatch/kv"
	"keywatch/persist/disk"

	bolt "go.etcd.io/bbolt"
)

// Sizes of the pipeline that loads a checkpoint.
const (
	loadBatch = 1024
	loadDepth = 8 // batches
)

// Load fills state, which must be new, with the last checkpoint and returns its meta; the
// zero Meta if there is none, and state is left as it is. It is called once, before
// everything else, and removes the clean-stop mark. It fails with a *disk.DamageError if
// anything in the file is not what was written, and with a *disk.MisfitError if a later
// release wrote it.
func (db *DB) Load(state *kv.State) (kv.Meta, error) {
	if err := db.acquire(nil); err != nil {
		return kv.Meta{}, err
	}
	defer db.release()
	h := db.head.Load()
	db.begin("load", h.records())
	defer db.task.End()
	if err := db.trim(db.file.Load()); err != nil {
		return kv.Meta{}, fmt.Errorf("load checkpoint: %w", err)
	}
	if h.seq > 0 {
		if err := db.load(h, state.Load(h.meta)); err != nil {
			return kv.Meta{}, fmt.Errorf("load checkpoint: %w", asDamage(db.file.Load().file.Name(), err))
		}
	}
	_, err := disk.CleanStop.Take(db.opts.FS, db.dir)
	return h.meta, err
}

// A loaded is a record on its way from the reader to the state, with its size in the
// file and the place of its range.
type loaded struct {
	record kv.Record
	bytes  int64
	rng    int
	offset int64 // of the record in the file
}

// load reads the records in one goroutine and adds them to the state in this one.
func (db *DB) load(h *header, l *kv.Loader) error {
	// batches carries records; the reader closes it after it has sent its error.
	batches, failed := make(chan []loaded, loadDepth), make(chan error, 1)
	stop := make(chan struct{}) // closed to end the reader early
	file, cold := db.file.Load(), h.coldBytes(l)
	go func() {
		defer close(batches)
		failed <- file.read(func(tx *bolt.Tx) error {
			return readRecords(tx, h, cold, func(b []loaded) bool {
				file.pages.look(tx)
				select {
				case batches <- b:
					return true
				case <-stop:
					return false
				}
			})
		})
	}()
	c := census{header: h.clone(), deletions: make(map[kv.Locator]int64), did: db.did}
	err := c.add(l, batches)
	close(stop)
	for range batches { // until the reader has ended
	}
	if rerr := <-failed; err == nil {
		err = rerr
	}
	if err == nil {
		err = c.check()
	}
	if err == nil {
		err = file.read(func(tx *bolt.Tx) error {
			return errors.Join(readIdem(tx, h, l.AddIdem), h.readLeases(tx, l.AddLease), h.readPrivate(tx, l.AddPrivate))
		})
	}
	if err == nil {
		err = l.Done()
	}
	if err != nil {
		return err
	}
	db.head.Store(c.header)
	return nil
}

// A census finds the dead records again while the state is loaded.
type census struct {
	*header
	// deletions has the sizes of the deletions that are alive so far, stale the number
	// of dead puts in each range.
	deletions map[kv.Locator]int64
	stale     []int64
	// did is told of records that were added; its error ends the work.
	did func(n int) error
}

// add hands records to the state and notes those that die.
func (c *census) add(l *kv.Loader, batches <-chan []loaded) error {
	c.stale = make([]int64, len(c.ranges))
	dead := make([]count, len(c.ranges))
	for b := range batches {
		if err := c.did(len(b)); err != nil {
			return err
		}
		for i := range b {
			at := b[i].record.Locator()
			old, alive, err := l.Add(b[i].record)
			if err != nil {
				return &placed{offset: b[i].offset, err: err}
			}
			if old != (kv.Locator{}) {
				c.bury(old, dead)
			}
			if b[i].record.Entry.Deleted() {
				c.deletions[at] = b[i].bytes
			}
			if !alive {
				c.bury(at, dead)
			}
		}
	}
	// A deletion is forgotten as soon as the floor passes it, which may be before the
	// state has said so.
	for i := range c.ranges {
		r := &c.ranges[i]
		r.live = count{r.all.n, r.all.bytes}
		r.live.sub(r.stale)
		r.live.sub(dead[i])
	}
	return nil
}

// bury notes that the record at died.
func (c *census) bury(at kv.Locator, dead []count) {
	i := find(c.ranges, at.Rev)
	c.ranges[i].gone = append(c.ranges[i].gone, at)
	if bytes, ok := c.deletions[at]; ok {
		dead[i].add(count{1, bytes})
		delete(c.deletions, at)
		return
	}
	c.stale[i]++
}

// check compares the dead puts with those that the header counts.
func (c *census) check() error {
	for i := range c.ranges {
		if r := &c.ranges[i]; r.stale.n != c.stale[i] {
			return fmt.Errorf("revisions %d to %d: %d records were replaced, want %d",
				r.first, r.last, c.stale[i], r.stale.n)
		}
	}
	return nil
}

// coldBytes returns how many bytes, the oldest records first, are to be loaded without
// values, so that what stays in memory is within its bound.
func (h *header) coldBytes(l *kv.Loader) int64 {
	var all, live int64
	for i := range h.ranges {
		all += h.ranges[i].all.bytes
		live += h.ranges[i].live.bytes
	}
	cold := l.ColdBytes(h.live(), live)
	if cold > 0 {
		cold += all - live // which is among the live
	}
	return cold
}

// readRecords reads all records in order and hands them over in batches, until give
// returns false. The first cold bytes of them come without values.
func readRecords(tx *bolt.Tx, h *header, cold int64, give func([]loaded) bool) error {
	b := make([]loaded, 0, loadBatch)
	for i := range h.ranges {
		parse := kv.ParseRecord
		if cold > 0 {
			parse = parseCold
		}
		cold -= h.ranges[i].all.bytes
		err := readRange(tx, &h.ranges[i], parse, func(r kv.Record, bytes int, offset int64) bool {
			b = append(b, loaded{r, int64(bytes), i, offset})
			if len(b) < loadBatch {
				return true
			}
			ok := give(b)
			b = make([]loaded, 0, loadBatch)
			return ok
		})
		if err != nil {
			return err
		}
	}
	give(b)
	return nil
}

// parseCold parses a record without its value, if it is worth it.
func parseCold(at kv.Locator, b []byte) (kv.Record, error) {
	if len(b) < kv.DefaultColdMin {
		return kv.ParseRecord(at, b)
	}
	return kv.ParseColdRecord(at, b)
}

// readRange reads the records of one range, until give returns false, and checks them.
func readRange(tx *bolt.Tx, r *revRange, parse func(kv.Locator, []byte) (kv.Record, error), give func(r kv.Record, bytes int, offset int64) bool) error {
	bucket := r.bucket(tx)
	if bucket == nil {
		return fmt.Errorf("bucket of revisions %d to %d is missing", r.first, r.last)
	}
	var all tally
	c := bucket.Cursor()
	first, _ := c.First()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		rec, err := r.parse(k, v, parse)
		if err != nil {
			return at(tx, k, err)
		}
		all.add(k, v)
		if !give(rec, len(k)+len(v), offsetOf(tx, k)) {
			return nil
		}
	}
	if all != r.all {
		return at(tx, first, fmt.Errorf("revisions %d to %d: %d records in %d bytes with sum %x, want %d, %d and %x",
			r.first, r.last, all.n, all.bytes, all.sum, r.all.n, r.all.bytes, r.all.sum))
	}
	return nil
}

// parse reads one record of the range.
func (r *revRange) parse(k, v []byte, parse func(kv.Locator, []byte) (kv.Record, error)) (kv.Record, error) {
	place, ok := parseLocator(k)
	if !ok || place.Rev < r.first || place.Rev > r.last || len(v) == 0 {
		return kv.Record{}, fmt.Errorf("record %x does not belong to revisions %d to %d", k, r.first, r.last)
	}
	rec, err := parse(place, v[1:])
	if err != nil {
		return rec, fmt.Errorf("revisions %d to %d: %w", r.first, r.last, err)
	}
	if rec.Entry.Deleted() != (v[0] == flagDeletion) {
		return rec, fmt.Errorf("record %x of revisions %d to %d has flag %d", k, r.first, r.last, v[0])
	}
	return rec, nil
}

// readIdem hands over the idempotency records that the header names and checks them.
func readIdem(tx *bolt.Tx, h *header, give func(seq uint64, b []byte) error) error {
	var all tally
	c := tx.Bucket(bucketIdem).Cursor()
	first, _ := c.Seek(idemKey(h.meta.IdemFirst))
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if len(k) != 8 {
			return at(tx, k, fmt.Errorf("idempotency record %x is malformed", k))
		}
		seq := binary.BigEndian.Uint64(k)
		if seq < h.meta.IdemFirst || seq >= h.meta.IdemNext {
			continue
		}
		all.add(k, v)
		if err := give(seq, slices.Clone(v)); err != nil {
			return at(tx, v, err)
		}
	}
	if all != h.idem {
		return at(tx, first, fmt.Errorf("%d idempotency records in %d bytes with sum %x, want %d, %d and %x",
			all.n, all.bytes, all.sum, h.idem.n, h.idem.bytes, h.idem.sum))
	}
	return nil
}
