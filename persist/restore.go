package persist

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"keywatch/kv"
	"keywatch/persist/disk"
	"keywatch/persist/wal"

	bolt "go.etcd.io/bbolt"
)

var (
	// ErrNotEmpty is returned by Restore when the folder holds anything.
	ErrNotEmpty = errors.New("the folder to restore into is not empty")
	// ErrRestoring is returned by Open when a restore into the folder did not succeed.
	ErrRestoring = errors.New("a restore into this folder did not succeed")
	// ErrNoBackup is returned by Restore when the file is whole but holds no checkpoint.
	ErrNoBackup = errors.New("the file holds no checkpoint")
)

// restoringName is a folder within the data folder: while it is there, a restore has not
// succeeded, and no store begins in the folder.
const restoringName = "restoring"

// backupRemedy is the advice for a backup that cannot be restored.
const backupRemedy = "use another backup"

// RestoreOptions configures Restore.
type RestoreOptions struct {
	// Release is the version of this program, for the store file. It may be empty.
	Release string
	// Find, if not nil, is called first and returns where in the file the image of the
	// checkpoint is; without it, or with size 0, it is all of the file.
	Find func() (offset, size int64, err error)
	// Beside, if not nil, is called once the image is found whole; the folder does
	// not count as restored unless it returns nil. It may make Folder in dir, which
	// is removed again where a restore is run another time.
	Beside func() error
	Folder string
	// Objects, if not nil, returns the URL of the object store that the values of the
	// restored store are in, which may be empty. It is given the one that the backup names,
	// empty if it names none, and called after Find.
	Objects func(named string) string
	// Private, if not nil, is told the name of each private record, and returns whether the restored
	// store has it.
	Private func(name string) (keep bool)
}

// Restore makes a data folder in dir from the backup in file and returns its meta. Every
// record is checked first. The restored store is a new one: it has a random id and epoch
// of its own and revisions beyond any that the old one gave, so that positions, revisions and
// fencing tokens of the two are never mixed up; nothing is known of deletions before. It has
// one server, and its log is empty. Values, versions and deadlines stay; the time
// in between does not count.
//
// dir is made if need be and must be empty; a mount point is fine. If Restore fails or
// is cut short, Open refuses the folder until another Restore has succeeded. Errors:
// ErrNotEmpty, ErrNoBackup, *disk.DamageError, *disk.MisfitError for a file of a later
// release or of another program, *disk.LockedError.
func Restore(file, dir string, opts RestoreOptions) (kv.Meta, error) {
	lock, err := disk.LockDir(dir)
	if err != nil {
		return kv.Meta{}, fmt.Errorf("restore: %w", err)
	}
	meta, err := restore(file, dir, opts)
	if err = errors.Join(err, lock.Close()); err != nil {
		return kv.Meta{}, fmt.Errorf("restore: %w", err)
	}
	return meta, nil
}

func restore(file, dir string, opts RestoreOptions) (kv.Meta, error) {
	if err := checkEmpty(dir, opts.Folder); err != nil {
		return kv.Meta{}, err
	}
	work := filepath.Join(dir, restoringName)
	if err := os.MkdirAll(work, 0o700); err != nil {
		return kv.Meta{}, err
	}
	if err := disk.OS.SyncDir(dir); err != nil {
		return kv.Meta{}, err
	}
	if err := undo(dir, opts.Folder); err != nil {
		return kv.Meta{}, err
	}
	meta, err := fill(file, work, opts)
	if err == nil {
		err = finish(dir)
	} else {
		err = errors.Join(err, undo(dir, opts.Folder))
	}
	if err != nil {
		return kv.Meta{}, fmt.Errorf("%w; no server starts in %s until a restore has succeeded or %s is removed", err, dir, work)
	}
	return meta, nil
}

// fill makes the files of the restored store in the folder work.
func fill(file, work string, opts RestoreOptions) (meta kv.Meta, err error) {
	var offset, size int64
	if opts.Find != nil {
		if offset, size, err = opts.Find(); err != nil {
			return meta, err
		}
	}
	if err := checkStill(file); err != nil {
		return meta, err
	}
	path := filepath.Join(work, checkpointName)
	if err := copyFile(file, path, offset, size); err != nil {
		return meta, err
	}
	h, named, err := renew(path, func(*header) link { return link{store: disk.NewStoreID()} }, opts.Private)
	if err != nil {
		return meta, blame(err, path, file, offset)
	}
	if opts.Beside != nil {
		if err := opts.Beside(); err != nil {
			return meta, err
		}
	}
	id := disk.Identity{Level: disk.Level, Store: h.link.store, Release: opts.Release}
	if opts.Objects != nil {
		id.Objects = opts.Objects(named)
	}
	return h.meta, beginFolder(work, id, h.term)
}

// checkStill refuses the checkpoint of a folder that a server changes.
func checkStill(file string) error {
	if filepath.Base(file) != checkpointName {
		return nil
	}
	if err := disk.InUse(filepath.Dir(file)); err != nil {
		return fmt.Errorf("%s changes while it is read: %w: use keywatch backup", file, err)
	}
	return nil
}

// blame makes an error about the copy of a backup one about the backup itself, in which
// the copy begins at offset.
func blame(err error, path, file string, offset int64) error {
	if d, ok := errors.AsType[*disk.DamageError](err); ok && d.File == path {
		d.File, d.Remedy = file, backupRemedy
		if d.Offset != disk.Unknown {
			d.Offset += offset
		}
	}
	if m, ok := errors.AsType[*disk.MisfitError](err); ok && m.File == path {
		m.File = file
		if m.Kind != disk.ErrNewer {
			m.Remedy = backupRemedy
		}
	}
	return err
}

// beginFolder makes what a data folder has beside a checkpoint: an empty log, the stable
// store and the store file.
func beginFolder(dir string, id disk.Identity, term uint64) error {
	log, err := wal.Open(dir, wal.Options{Store: id.Store})
	if err == nil {
		err = log.Close()
	}
	if err != nil {
		return err
	}
	stable, err := wal.OpenStable(dir, wal.StableOptions{})
	if err == nil {
		err = stable.SetHard(wal.Hard{Term: term})
	}
	if err == nil {
		err = stable.Set(keyStore, []byte(id.Store.String()))
	}
	if err == nil {
		err = id.Write(disk.OS, dir)
	}
	return err
}

// checkRestored returns ErrRestoring if a restore into dir was begun and did not succeed.
func checkRestored(dir string) error {
	work := filepath.Join(dir, restoringName)
	switch _, err := os.Stat(work); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%s: %w: run keywatch restore again or, to give it up, remove %s", dir, ErrRestoring, work)
}

// restored reports whether a restore may have put a file with this name into a data
// folder.
func restored(name string) bool {
	switch name {
	case checkpointName, wal.StableName, disk.StoreFile:
		return true
	}
	return wal.IsSegment(name) || strings.HasSuffix(name, ".tmp")
}

// checkEmpty tells whether dir holds nothing but what a file system, the lock or a restore
// that did not succeed has left there.
func checkEmpty(dir, folder string) error {
	names, err := disk.OS.ReadDir(dir)
	if err != nil {
		return err
	}
	_, err = os.Stat(filepath.Join(dir, restoringName))
	again := err == nil
	for _, name := range names {
		switch {
		case name == disk.LockName, name == "lost+found":
		case again && (name == restoringName || name == folder || restored(name)):
		default:
			return fmt.Errorf("%w: %s has %s", ErrNotEmpty, dir, name)
		}
	}
	return nil
}

// undo removes what a restore has made, but for the sign that it was begun.
func undo(dir, folder string) error {
	for _, d := range []string{dir, filepath.Join(dir, restoringName)} {
		names, err := disk.OS.ReadDir(d)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !restored(name) {
				continue
			}
			if err := os.Remove(filepath.Join(d, name)); err != nil {
				return err
			}
		}
	}
	if folder == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(dir, folder))
}

// finish moves the files into place and ends the restore by removing its folder.
func finish(dir string) error {
	work := filepath.Join(dir, restoringName)
	if err := disk.OS.SyncDir(work); err != nil {
		return err
	}
	names, err := disk.OS.ReadDir(work)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".tmp") {
			continue
		}
		if err := os.Rename(filepath.Join(work, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := disk.OS.SyncDir(dir); err != nil {
		return err
	}
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	return disk.OS.SyncDir(dir)
}

// copyFile copies n bytes of a file from off on, or all if n is 0, durably.
func copyFile(from, to string, off, n int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	var image io.Reader = in
	if n != 0 {
		image = io.NewSectionReader(in, off, n)
	}
	_, err = io.Copy(out, image)
	if err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// renew checks a checkpoint and makes it that of a new store, which belongs to what belongs returns, and has
// the private records that keep returns true for; all, if it is nil. It returns
// the new header, and the URL of the object store that the one before names.
func renew(path string, belongs func(old *header) link, keep func(name string) bool) (next *header, objects string, err error) {
	f, h, err := openChecked(path, nil, nil)
	if err != nil {
		return nil, "", err
	}
	next, err = renewHeader(h, belongs(h))
	if err == nil {
		err = checkRecords(f, h, func() bool { return true })
	}
	if err == nil && keep != nil {
		err = f.Update(func(tx *bolt.Tx) (err error) {
			next.private, err = privateRecords.filter(tx, next.private, keep)
			return err
		})
	}
	for range 2 { // both meta pages of bbolt lead to the new header then
		if err == nil {
			err = f.Update(func(tx *bolt.Tx) error { return writeHeader(tx, next) })
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return next, h.link.objects, err
}

// renewHeader returns the header of the new store.
func renewHeader(h *header, to link) (*header, error) {
	if h.seq == 0 {
		return nil, ErrNoBackup
	}
	next := h.clone()
	for next.meta.At.Epoch == h.meta.At.Epoch || next.meta.At.Epoch == 0 {
		var b [4]byte
		rand.Read(b[:])
		next.meta.At.Epoch = kv.Epoch(binary.BigEndian.Uint32(b[:]))
	}
	next.meta.At.Rev += kv.RevLift
	next.meta.Floor = next.meta.At.Rev
	next.members, next.installed, next.meta.Roster = nil, false, "" // it has one server
	next.link = to
	return next, nil
}

// checkRecords reads everything that the header names, and fails with ErrClosed once goes returns
// false.
func checkRecords(f *boltFile, h *header, goes func() bool) error {
	path := f.file.Name()
	return asDamage(path, f.read(func(tx *bolt.Tx) error {
		err := readRecords(tx, h, 0, func([]loaded) bool { f.pages.look(tx); return goes() })
		if err != nil {
			return err
		}
		if !goes() {
			return ErrClosed
		}
		if err := readIdem(tx, h, func(uint64, []byte) error { return nil }); err != nil {
			return err
		}
		if err := h.readLeases(tx, func(kv.LeaseID, []byte) error { return nil }); err != nil {
			return err
		}
		return h.readPrivate(tx, func(string, []byte) error { return nil })
	}))
}
