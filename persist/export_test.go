package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"os"
	"slices"

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
	f, h, err := openChecked(path, nil, nil)
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

// RawIdem returns how many idempotency records the file has, named by the header or not.
func (db *DB) RawIdem() (n int) {
	db.file.Load().View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketIdem).ForEach(func(_, _ []byte) error { n++; return nil })
	})
	return n
}

// rewritten returns a checkpoint file that a change was made to.
func rewritten(b []byte, change func(tx *bolt.Tx) error) []byte {
	f, err := os.CreateTemp("", "checkpoint-*")
	if err == nil {
		_, err = f.Write(b)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		panic(err)
	}
	defer os.Remove(f.Name())
	db, err := bolt.Open(f.Name(), 0o600, nil)
	if err == nil {
		err = errors.Join(db.Update(change), db.Update(change), db.Close())
	}
	if err != nil {
		panic(err)
	}
	b, _ = os.ReadFile(f.Name())
	return b
}

// Unlinked returns a checkpoint file as the release before writes it.
func Unlinked(b []byte) []byte {
	return rewritten(b, func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyLink) })
}

// OtherTerm returns a checkpoint file that has another term at its index.
func OtherTerm(b []byte) []byte {
	return rewritten(b, func(tx *bolt.Tx) error {
		h, err := readHeader(tx)
		if err == nil {
			h.term = 7
			err = writeHeader(tx, h)
		}
		return err
	})
}

// LaterHeader and LaterMeta return checkpoint files as a later release may write them.
func LaterHeader(b []byte) []byte {
	return rewritten(b, func(tx *bolt.Tx) error {
		h := bytes.Clone(tx.Bucket(bucketMeta).Get(keyHeader))
		h[0] = 99
		return tx.Bucket(bucketMeta).Put(keyHeader, resummed(h, binary.BigEndian.PutUint32))
	})
}

func LaterMeta(b []byte) []byte {
	return rewritten(b, func(tx *bolt.Tx) error {
		h, err := readHeader(tx)
		if err != nil {
			return nil // the second time
		}
		meta, all := h.meta.AppendTo(nil), h.encode()
		later := bytes.Clone(meta)
		later[0] = 99
		all = bytes.Replace(all, meta, resummed(later, binary.LittleEndian.PutUint32), 1)
		return tx.Bucket(bucketMeta).Put(keyHeader, resummed(all, binary.BigEndian.PutUint32))
	})
}

// resummed puts the checksum of what is before it at the end of b.
func resummed(b []byte, put func([]byte, uint32)) []byte {
	put(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	return b
}

// OtherBolt returns a file of another program that uses bbolt.
func OtherBolt() []byte {
	return rewritten(nil, func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte("users"))
		return err
	})
}

// LaterSegment and LaterStable return files of the log as a later release may write them:
// the digits of the format are the last of the first eight bytes.
func LaterSegment(b []byte) []byte {
	b[7] = '2'
	binary.LittleEndian.PutUint32(b[28:], crc32.Checksum(b[:28], castagnoli))
	return b
}

func LaterStable(b []byte) []byte {
	b[7] = '2'
	return resummed(b, binary.BigEndian.PutUint32)
}

// EncodeStable and DecodeStable are the codec of a stable store's file.
func EncodeStable(values map[string][]byte) []byte {
	b := []byte("KWSTBv01")
	for _, k := range slices.Sorted(maps.Keys(values)) {
		for _, field := range [][]byte{[]byte(k), values[k]} {
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(field))), field...)
		}
	}
	return resummed(append(b, 0, 0, 0, 0), binary.BigEndian.PutUint32)
}

func DecodeStable(b []byte) map[string][]byte {
	values := make(map[string][]byte)
	for b = b[8 : len(b)-4]; len(b) > 0; {
		var field [2][]byte
		for i := range field {
			n := binary.BigEndian.Uint32(b)
			field[i], b = b[4:4+n], b[4+n:]
		}
		values[string(field[0])] = field[1]
	}
	return values
}

// HeaderVersion returns the version of the header as it would be written.
func (db *DB) HeaderVersion() byte { return db.head.Load().encode()[0] }

// Overtaken reports whether an install waits for who changes the checkpoint file.
func (db *DB) Overtaken() bool { return db.overtaken.Load() }

// Stepped has step called before each step of a recovery; its error is as a crash there.
func Stepped(o RecoverOptions, step func(name string) error) RecoverOptions {
	o.step = step
	return o
}
