package persist

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// ErrImageEnded is returned when an image is read after it was closed, or was open
// longer than Options.ImageTimeout or, for another server, not read for so long.
var ErrImageEnded = errors.New("the view of the checkpoint has ended")

// imageChunk is how much a backup copies at once, in bytes.
const imageChunk = 256 << 10

// An Image is the checkpoint file as it was at one moment, as a stream: what it yields
// is a checkpoint file. While it is open, writers go on, but space in the file is not used
// again. Close may be called by any goroutine; the rest belongs to one.
type Image struct {
	db    *DB
	head  *header
	first []byte // the two meta pages
	off   int64
	size  int64
	timer *time.Timer
	renew bool // each read begins the timeout again

	mu struct {
		sync.Mutex
		tx   *bolt.Tx // nil once closed
		file *boltFile
	}
}

// OpenBackup returns an image of the last committed checkpoint, to be closed. Its size
// is known at once. It fails with ErrClosed.
func (db *DB) OpenBackup() (*Image, error) { return db.openImage(false) }

// OpenImage is OpenBackup for another server, to which it may take long to be sent: it may be open
// for as long as it is read.
func (db *DB) OpenImage() (*Image, error) { return db.openImage(true) }

func (db *DB) openImage(renew bool) (*Image, error) {
	file, tx, err := db.view()
	if err != nil {
		return nil, err
	}
	img := &Image{db: db, size: tx.Size(), renew: renew}
	img.mu.tx, img.mu.file = tx, file
	if img.head, err = readHeader(tx); err == nil {
		img.first, err = metaPages(tx)
	}
	if err != nil {
		return nil, errors.Join(asDamage(file.file.Name(), err), tx.Rollback())
	}
	db.images.Lock()
	db.images.open[img] = struct{}{}
	img.timer = time.AfterFunc(db.opts.ImageTimeout, func() { img.Close() })
	db.images.Unlock()
	if err := db.running(); err != nil { // Close may have looked before img was there
		return nil, errors.Join(err, img.Close())
	}
	return img, nil
}

// view begins a transaction that reads. The file may be swapped by Compact meanwhile.
func (db *DB) view() (*boltFile, *bolt.Tx, error) {
	for {
		if err := db.running(); err != nil {
			return nil, nil, err
		}
		f := db.file.Load()
		tx, err := f.Begin(false)
		if err == nil {
			return f, tx, nil
		}
		if f == db.file.Load() {
			return nil, nil, err
		}
	}
}

// running returns ErrClosed once Close was called.
func (db *DB) running() error {
	select {
	case <-db.closing:
		return ErrClosed
	default:
		return nil
	}
}

// endImages closes what is open.
func (db *DB) endImages() {
	db.images.Lock()
	var open []*Image
	for img := range db.images.open {
		open = append(open, img)
	}
	db.images.Unlock()
	for _, img := range open {
		img.Close()
	}
}

// errEnough ends bbolt's copy after the meta pages.
var errEnough = errors.New("enough")

// A metaWriter takes the first two pages that bbolt copies.
type metaWriter struct{ b []byte }

func (w *metaWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	if w.b = w.b[:min(len(w.b), 2*len(p))]; len(w.b) == 2*len(p) {
		return 0, errEnough
	}
	return len(p), nil
}

// metaPages returns the two meta pages of a transaction's view; bbolt makes them so that
// both lead to it.
func metaPages(tx *bolt.Tx) ([]byte, error) {
	var w metaWriter
	if _, err := tx.WriteTo(&w); !errors.Is(err, errEnough) && len(w.b) != 2*tx.DB().Info().PageSize {
		return nil, err
	}
	return w.b, nil
}

// Size returns the length of the stream in bytes.
func (img *Image) Size() int64 { return img.size }

// Last returns what the checkpoint was given, as DB.Last does.
func (img *Image) Last() (index, term uint64, members []byte) {
	return img.head.index, img.head.term, img.head.members
}

// Read implements io.Reader. It fails with ErrImageEnded.
func (img *Image) Read(p []byte) (int, error) {
	img.mu.Lock()
	defer img.mu.Unlock()
	if img.mu.tx == nil {
		return 0, ErrImageEnded
	}
	if img.off >= img.size {
		return 0, io.EOF
	}
	if img.renew {
		img.timer.Reset(img.db.opts.ImageTimeout)
	}
	p = p[:min(int64(len(p)), img.size-img.off)]
	var n int
	var err error
	if img.off < int64(len(img.first)) {
		n = copy(p, img.first[img.off:])
	} else if n, err = img.mu.file.file.ReadAt(p, img.off); n > 0 {
		err = nil
	}
	img.off += int64(n)
	return n, err
}

// Close ends the image. It may be called twice.
func (img *Image) Close() error {
	img.mu.Lock()
	defer img.mu.Unlock()
	if img.mu.tx == nil {
		return nil
	}
	err := img.mu.tx.Rollback()
	img.mu.tx = nil
	img.db.images.Lock()
	defer img.db.images.Unlock()
	delete(img.db.images.open, img)
	img.timer.Stop()
	return err
}

// BackupSize returns what the size of a backup would be now, in bytes.
func (db *DB) BackupSize() (int64, error) {
	_, tx, err := db.view()
	if err != nil {
		return 0, err
	}
	return tx.Size(), tx.Rollback()
}

// Backup writes an image of the last committed checkpoint to w and returns the number of
// bytes written. The server keeps serving meanwhile. It fails with ctx's error, w's,
// ErrImageEnded or ErrClosed.
func (db *DB) Backup(ctx context.Context, w io.Writer) (n int64, err error) {
	img, err := db.OpenBackup()
	if err != nil {
		return 0, err
	}
	defer img.Close()
	buf := make([]byte, imageChunk)
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, err := img.Read(buf)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		m, err = w.Write(buf[:m])
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
}
