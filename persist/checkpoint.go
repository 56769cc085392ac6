package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"keywatch/kv"
	"keywatch/persist/disk"

	bolt "go.etcd.io/bbolt"
)

// The checkpoint is one bbolt file that follows the state: each checkpoint appends what
// changed since the one before, in order of revision. Nothing that it writes counts until
// its last transaction replaces the header; until then the file is, to a reader, the
// previous checkpoint. What a crash or a failure left behind is in buckets and sequence
// numbers that the header does not name, and is removed at the next start or
// checkpoint, whichever comes first.

// Kinds of transactions, as Options.before and after get them.
const (
	txRecords = "records"
	txIdem    = "idem"
	txHeader  = "header"
	txSeal    = "seal"
	txTrim    = "trim"
	txSweep   = "sweep"
)

// maxRest bounds the rest after a transaction.
const maxRest = 20 * time.Millisecond

// acquire takes the right to change the checkpoint file.
func (db *DB) acquire(done <-chan struct{}) error {
	select {
	case <-db.busy:
	case <-db.quitting:
		return ErrClosed
	case <-done:
		return errGivenUp
	}
	if err := db.going(); err != nil {
		db.release()
		return err
	}
	return nil
}

// errGivenUp is what acquire returns when done was closed.
var errGivenUp = errors.New("given up")

// release gives the right back.
func (db *DB) release() { db.busy <- struct{}{} }

// going returns why the checkpoint file cannot be changed, nil if it can.
func (db *DB) going() error {
	select {
	case <-db.quitting:
		return ErrClosed
	default:
	}
	if db.overtaken.Load() {
		return ErrOvertaken
	}
	return db.lost
}

// update changes the file in one transaction. After a failed write the file is given up
// until the next Open: what bbolt shows then may not be what is on disk. Only a full disk is
// met before anything that counts was written.
func (db *DB) update(f *boltFile, kind string, change func(*bolt.Tx) error) error {
	if err := db.going(); err != nil {
		return err
	}
	if !db.opts.unsynced {
		if err := f.plan(); err != nil {
			return err
		}
	}
	begun := time.Now()
	committing := false
	err := guard(f.file.Name(), func() error {
		return f.Update(func(tx *bolt.Tx) error {
			if err := change(tx); err != nil {
				return err
			}
			f.pages.look(tx)
			if db.opts.before != nil {
				if err := db.opts.before(kind); err != nil {
					return err
				}
			}
			committing = true
			return nil
		})
	})
	if err != nil {
		if committing && !disk.IsFull(err) && f == db.file.Load() {
			db.lost = fmt.Errorf("the checkpoint file cannot be written until the next start: %w", err)
		}
		return err
	}
	if db.opts.after != nil {
		db.opts.after(kind)
	}
	db.rest(time.Since(begun))
	return nil
}

// rest leaves the disk and the processor to others for as long as the last transaction
// took.
func (db *DB) rest(d time.Duration) {
	if db.opts.unthrottled {
		return
	}
	t := time.NewTimer(min(d, maxRest))
	defer t.Stop()
	select {
	case <-t.C:
	case <-db.quitting:
	}
}

// write appends the records of the sink's checkpoint to the file, in new ranges.
func (s *sink) write() error {
	old := len(s.next.ranges)
	s.deaths = s.deaths[:0]
	var b batch
	var replaced []kv.Locator
	flush := func() error {
		if err := s.bury(replaced); err != nil || len(b.items) == 0 {
			return err
		}
		err := s.db.update(s.file, txRecords, func(tx *bolt.Tx) error { return b.put(tx, s.next.ranges) })
		s.db.task.Add(int64(len(b.items)))
		b.reset()
		replaced = replaced[:0]
		return err
	}
	for r, from := range s.cp.Records() {
		at := r.Locator()
		if at.Rev <= s.base.meta.At.Rev && s.base.seq > 0 {
			return fmt.Errorf("record %d.%d is not newer than the last checkpoint", at.Rev, at.Ordinal)
		}
		s.place(at.Rev, old)
		b.record(r, len(s.next.ranges)-1)
		n := &s.next.ranges[len(s.next.ranges)-1]
		n.last = at.Rev
		n.all.add(b.item(len(b.items) - 1))
		n.live = count{n.all.n, n.all.bytes}
		s.records++
		if from != (kv.Locator{}) {
			replaced = append(replaced, from)
		}
		if b.full(&s.db.opts) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return s.writeRest()
}

// writeRest writes all of the checkpoint that is no record of a key.
func (s *sink) writeRest() error {
	if err := s.forget(s.cp.Dropped()); err != nil {
		return err
	}
	if err := s.writeIdem(); err != nil {
		return err
	}
	if err := s.writeLeases(); err != nil {
		return err
	}
	return s.writePrivate()
}

// forget buries deletions that nothing replaces. A put that went so would be back at the
// next start.
func (s *sink) forget(records []kv.Locator) error {
	n := len(s.deaths)
	if err := s.bury(records); err != nil {
		return err
	}
	for _, d := range s.deaths[n:] {
		if !d.deleted {
			return fmt.Errorf("record %d.%d is a value and is removed without a deletion", d.at.Rev, d.at.Ordinal)
		}
	}
	return nil
}

// place begins a new range if the newest one of this checkpoint is full. A revision is
// never split.
func (s *sink) place(rev kv.Rev, old int) {
	if n := len(s.next.ranges); n > old {
		r := &s.next.ranges[n-1]
		if r.last == rev || r.all.n < int64(s.db.opts.RangeRecords) && r.all.bytes < s.db.opts.RangeBytes {
			return
		}
	}
	s.db.gen++
	s.next.ranges = append(s.next.ranges, revRange{
		first: rev, last: rev, gen: s.db.gen, written: s.next.seq, swept: s.next.seq,
	})
}

// A death is a durable record that dies when the checkpoint is committed.
type death struct {
	at      kv.Locator
	bytes   int64
	deleted bool
}

// bury notes that records die with this checkpoint. A record that is not there would
// mean that state and file disagree.
func (s *sink) bury(records []kv.Locator) error {
	return s.file.read(func(tx *bolt.Tx) error {
		buckets := make(map[uint64]*bolt.Bucket)
		var key []byte
		for _, at := range records {
			i := find(s.base.ranges, at.Rev)
			if i < 0 {
				return fmt.Errorf("record %d.%d to replace is in no range", at.Rev, at.Ordinal)
			}
			r := &s.base.ranges[i]
			b, ok := buckets[r.gen]
			if !ok {
				b = r.bucket(tx)
				buckets[r.gen] = b
			}
			key = appendLocator(key[:0], at)
			value := b.Get(key)
			if len(value) == 0 {
				return fmt.Errorf("record %d.%d to replace is not in its range", at.Rev, at.Ordinal)
			}
			s.deaths = append(s.deaths, death{at, int64(len(key) + len(value)), value[0] == flagDeletion})
		}
		return nil
	})
}

// settle takes the deaths into the next header. A range that was clean until now was clean
// after the last checkpoint.
func (s *sink) settle() {
	for _, d := range s.deaths {
		r := &s.next.ranges[find(s.next.ranges, d.at.Rev)]
		r.live.sub(count{1, d.bytes})
		r.gone = append(r.gone, d.at)
		if d.deleted {
			continue
		}
		if r.stale.n == 0 {
			r.swept = max(r.swept, s.base.seq)
		}
		r.stale.add(count{1, d.bytes})
	}
	s.deaths = nil
}

// writeIdem appends the new idempotency records and counts those that the next header
// will name.
func (s *sink) writeIdem() error {
	var b batch
	flush := func() error {
		if len(b.items) == 0 {
			return nil
		}
		err := s.db.update(s.file, txIdem, b.putIdem)
		s.db.found(len(b.items))
		b.reset()
		return err
	}
	for seq, value := range s.cp.Idem() {
		b.raw(idemKey(seq), value)
		s.next.idem.add(b.item(len(b.items) - 1))
		if b.full(&s.db.opts) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return s.file.read(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketIdem).Cursor()
		m := &s.base.meta
		end := min(s.next.meta.IdemFirst, m.IdemNext)
		for k, v := c.Seek(idemKey(m.IdemFirst)); k != nil && binary.BigEndian.Uint64(k) < end; k, v = c.Next() {
			s.next.idem.remove(k, v)
		}
		return nil
	})
}

// idemKey is the key of an idempotency record.
func idemKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// commit makes the checkpoint count. The log comes first: a log that ends before the
// checkpoint is thrown away at the next start, and what it held beyond would be lost.
func (s *sink) commit() error {
	db := s.db
	if err := db.wal.SyncThrough(max(s.index, s.next.meta.Index)); err != nil {
		return err
	}
	ext, err := db.wal.Extent()
	if err != nil {
		return err
	}
	s.next.link = link{store: db.store, groups: ext.Groups, objects: db.Objects()}
	s.settle()
	s.next.gen = db.gen
	err = db.update(s.file, txHeader, func(tx *bolt.Tx) error { return writeHeader(tx, s.next) })
	if err != nil {
		return err
	}
	db.head.Store(s.next)
	s.cp.Commit()
	if err := db.seal(s.file); err != nil {
		db.log.Warn("second copy of the checkpoint's root not written", "err", err)
	}
	return nil
}

// seal writes a transaction that changes nothing, so that both of bbolt's meta pages lead to
// the newest header, and the loss of one of them loses nothing.
func (db *DB) seal(f *boltFile) error {
	return db.update(f, txSeal, func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketMeta)
		return b.Put(keyHeader, append([]byte(nil), b.Get(keyHeader)...))
	})
}
