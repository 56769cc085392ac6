package persist

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"keywatch/kv"
	"keywatch/persist/disk"

	bolt "go.etcd.io/bbolt"
)

// The checkpoint file holds four buckets: meta with the header; idem with idempotency records by sequence (8 bytes, big endian);
// leases, see recordKind; and
// ranges with one bucket per revRange, whose keys are revision (8 bytes) and
// ordinal (4), big endian, and whose values are a flag byte and a kv record.
var (
	bucketMeta   = []byte("meta")
	bucketIdem   = []byte("idem")
	bucketRanges = []byte("ranges")
	keyHeader    = []byte("header")
)

// Flag bytes of a record's value.
const (
	flagPut      = 0
	flagDeletion = 1
)

const (
	checkpointName = "checkpoint.db"
	checkpointTemp = "checkpoint.tmp" // being made; never opened as it is
	// fillPercent packs pages: records are appended in order and never between others.
	fillPercent = 0.95
	// mapSize is the address space reserved for the file, so that it can grow without
	// waiting for readers to end.
	mapSize = 1 << 34
	// boltLockWait bounds the wait for bbolt's own lock: the folder's is held already.
	boltLockWait = 100 * time.Millisecond
)

// A boltFile is an open checkpoint file. The descriptor is the one that bbolt uses and
// belongs to it.
type boltFile struct {
	*bolt.DB
	file  *os.File
	pages *mapped
}

// Close waits for the transactions that are open.
func (b *boltFile) Close() error {
	defer b.pages.close()
	return b.DB.Close()
}

// openBolt opens a checkpoint file, or makes one.
func openBolt(path string) (*boltFile, error) {
	var file *os.File
	opts := bolt.Options{
		Timeout:        boltLockWait,
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
		NoStatistics:   true,
		OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, perm)
			file = f
			return f, err
		},
	}
	if strconv.IntSize == 64 {
		opts.InitialMmapSize = mapSize
	}
	var b *bolt.DB
	pages := openMapped() // first: opening reads the whole file
	err := guard(path, func() (err error) {
		for {
			b, err = bolt.Open(path, 0o600, &opts)
			if !errors.Is(err, syscall.ENOMEM) || opts.InitialMmapSize == 0 {
				return err
			}
			opts.InitialMmapSize = opts.InitialMmapSize >> 2 &^ (1<<28 - 1)
		}
	})
	if err != nil {
		pages.close()
		return nil, err
	}
	return &boltFile{b, file, pages}, nil
}

// light leaves out bbolt's fsyncs and keeps the file small, for tests.
func (b *boltFile) light(on bool) {
	if on {
		b.NoSync, b.NoGrowSync, b.AllocSize = true, true, 32<<10
	}
}

// createBolt makes an empty checkpoint file under its name, durably: it is whole or
// not there.
func createBolt(dir string, unsynced bool, to link) error {
	temp := filepath.Join(dir, checkpointTemp)
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	b, err := openBolt(temp)
	if err != nil {
		return err
	}
	b.light(unsynced)
	err = b.Update(func(tx *bolt.Tx) error { return createBuckets(tx, &header{link: to}) })
	if cerr := b.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp, filepath.Join(dir, checkpointName))
	}
	if err == nil {
		err = disk.OS.SyncDir(dir)
	}
	return err
}

// createBuckets makes what every checkpoint file has: the buckets and a header.
func createBuckets(tx *bolt.Tx, h *header) error {
	for _, name := range [][]byte{bucketMeta, bucketIdem, []byte(leaseRecords.bucket), bucketRanges} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return writeHeader(tx, h)
}

// readHeader returns the header in a transaction's view.
func readHeader(tx *bolt.Tx) (*header, error) {
	path := tx.DB().Path()
	var missing []string
	own := [][]byte{bucketMeta, bucketIdem, bucketRanges}
	for _, name := range own {
		if tx.Bucket(name) == nil {
			missing = append(missing, string(name))
		}
	}
	if any, _ := tx.Cursor().First(); any != nil && len(missing) == len(own) {
		return nil, notCheckpoint(path, "it is a bbolt file of another program")
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("bucket %q is missing", missing[0])
	}
	meta := tx.Bucket(bucketMeta)
	b := meta.Get(keyHeader)
	h, err := decodeHeader(b)
	if later, ok := errors.AsType[laterHeader](err); ok {
		return nil, disk.Newer(path, fmt.Sprintf("checkpoint format %d", later), fmt.Sprintf("format %d", headerVersion))
	}
	if err != nil {
		return nil, at(tx, b, fmt.Errorf("header in bucket %q: %w", bucketMeta, err))
	}
	if b = meta.Get(keyLink); b != nil {
		if h.link, err = decodeLink(b, h); err != nil {
			return nil, at(tx, b, err)
		}
	}
	return h, nil
}

// writeHeader replaces the header, and its link.
func writeHeader(tx *bolt.Tx, h *header) error {
	if err := tx.Bucket(bucketMeta).Put(keyHeader, h.encode()); err != nil {
		return err
	}
	return putLink(tx, h)
}

// bucket returns a range's bucket, nil if it is missing.
func (r *revRange) bucket(tx *bolt.Tx) *bolt.Bucket {
	return tx.Bucket(bucketRanges).Bucket(r.name())
}

// guard runs f, which reads a checkpoint file, and makes a *disk.DamageError of what
// bbolt does about a file that it did not write so: it panics, or reads
// memory that is not there.
func guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(path, disk.Unknown, fmt.Sprint(p))
		}
	}()
	return f()
}

// read runs f in a transaction that reads; a failure within bbolt is a
// *disk.DamageError.
func (b *boltFile) read(f func(*bolt.Tx) error) error {
	return guard(b.file.Name(), func() error {
		return b.View(func(tx *bolt.Tx) error {
			defer b.pages.look(tx)
			return f(tx)
		})
	})
}

// damaged returns the error for a damaged checkpoint file.
func damaged(path string, offset int64, reason string) error {
	return &disk.DamageError{File: path, Offset: offset, Reason: reason, Remedy: disk.ElsewhereRemedy}
}

// notCheckpoint returns the error for a file that another program wrote.
func notCheckpoint(path, reason string) error {
	return &disk.MisfitError{
		Kind: disk.ErrForeign, File: path,
		Reason: "is not a checkpoint or a backup of keywatch: " + reason, Remedy: disk.PutBackRemedy,
	}
}

// A placed is an error about bytes of the file, with their offset.
type placed struct {
	offset int64
	err    error
}

func (p *placed) Error() string { return p.err.Error() }
func (p *placed) Unwrap() error { return p.err }

// at says of an error where in the file the bytes b are that it is about. They are part
// of the mapped file, as everything is that a transaction reads.
func at(tx *bolt.Tx, b []byte, err error) error {
	return &placed{offset: offsetOf(tx, b), err: err}
}

// offsetOf returns the place of b, which a transaction that reads has returned, in its
// file; disk.Unknown if b is not part of it.
func offsetOf(tx *bolt.Tx, b []byte) int64 {
	from := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - tx.DB().Info().Data
	if len(b) == 0 || int64(from) < 0 || int64(from) >= tx.Size() {
		return disk.Unknown
	}
	return int64(from)
}

// asDamage makes err an error that names the file: a *disk.DamageError, unless it says
// that something else is wrong.
func asDamage(path string, err error) error {
	if err == nil || errors.Is(err, kv.ErrNewer) {
		return asNewer(path, err)
	}
	_, is := errors.AsType[*disk.DamageError](err)
	_, misfit := errors.AsType[*disk.MisfitError](err)
	if is || misfit || errors.Is(err, ErrClosed) {
		return err
	}
	offset := int64(disk.Unknown)
	if p, ok := errors.AsType[*placed](err); ok {
		offset = p.offset
	}
	return damaged(path, offset, err.Error())
}

// asNewer makes err, which matches kv.ErrNewer, one that names the file.
func asNewer(path string, err error) error {
	if err == nil {
		return nil
	}
	return &disk.MisfitError{
		Kind: disk.ErrNewer, File: path, Reason: "cannot be read by this release: " + err.Error(),
		Remedy: disk.NewerRemedy,
	}
}
