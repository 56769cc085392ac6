package persist

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"keywatch/kv"
	"keywatch/persist/disk"
	"keywatch/persist/wal"

	"github.com/hashicorp/raft"
	bolt "go.etcd.io/bbolt"
)

var (
	// ErrNotEmpty is returned by Restore when the folder holds anything.
	ErrNotEmpty = errors.New("the folder to restore into is not empty")
	// ErrRestoring is returned by Open when a restore into the folder did not end.
	ErrRestoring = errors.New("a restore into this folder did not end: run it again")
	// ErrNoBackup is returned by Restore when the file is whole but holds no checkpoint.
	ErrNoBackup = errors.New("the file holds no checkpoint")
)

// restoringName is a folder within the data folder: while it is there, a restore has not
// ended.
const restoringName = "restoring"

// keyTerm is raft's key for its term in the stable store.
const keyTerm = "CurrentTerm"

// RestoreOptions configures Restore.
type RestoreOptions struct {
	// Server is the id of the only member of the restored store, and its address.
	Server string
	// Offset and Size say where in the file the backup lies; Size 0 is all of it.
	Offset, Size int64
	// Beside, if not nil, is called once the backup is found whole; the folder does
	// not count as restored unless it returns nil. It may make Folder in dir, which
	// is removed again where a restore is run another time.
	Beside func() error
	Folder string
}

// Restore makes a data folder in dir from the backup in file and returns its meta. Every
// record is checked first. The restored store is a new history: it has a random epoch
// of its own and revisions beyond any that the old one gave, so that positions, revisions and
// fencing tokens of the two are never mixed up; nothing is known of deletions before. Its only
// member is opts.Server, and its log is empty. Values, versions and deadlines stay; the time
// in between does not count.
//
// dir is made if need be and must be empty; a mount point is fine. If Restore fails or
// is cut short, Open refuses the folder, and Restore can be run again. Errors:
// ErrNotEmpty, ErrNoBackup, *disk.DamageError, *disk.LockedError.
func Restore(file, dir string, opts RestoreOptions) (kv.Meta, error) {
	if opts.Server == "" {
		return kv.Meta{}, errors.New("restore: the server has no id")
	}
	lock, err := disk.LockDir(dir)
	if err != nil {
		return kv.Meta{}, err
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
	path := filepath.Join(work, checkpointName)
	if err := copyFile(file, path, opts.Offset, opts.Size); err != nil {
		return kv.Meta{}, err
	}
	h, err := renew(path, opts)
	if err != nil {
		var d *disk.DamageError
		if errors.As(err, &d) && d.File == path {
			d.File, d.Remedy = file, "use another backup"
		}
		return kv.Meta{}, errors.Join(err, abandon(dir, opts.Folder))
	}
	if opts.Beside != nil {
		if err := opts.Beside(); err != nil {
			return kv.Meta{}, err
		}
	}
	stable, err := wal.OpenStable(work, wal.StableOptions{})
	if err == nil {
		err = stable.SetUint64([]byte(keyTerm), h.term)
	}
	if err != nil {
		return kv.Meta{}, err
	}
	return h.meta, finish(dir)
}

// checkEmpty tells whether dir holds nothing but what a file system, the lock or a restore
// that did not end has left there.
func checkEmpty(dir, folder string) error {
	names, err := disk.OS.ReadDir(dir)
	if err != nil {
		return err
	}
	_, serr := os.Stat(filepath.Join(dir, restoringName))
	for _, name := range names {
		switch name {
		case disk.LockName, "lost+found", restoringName:
			continue
		case wal.StableName, checkpointName:
			if serr == nil {
				continue
			}
		}
		if name == folder && serr == nil {
			continue
		}
		return fmt.Errorf("%w: %s has %s", ErrNotEmpty, dir, name)
	}
	return abandon(dir, folder)
}

// abandon removes what a restore has made, the sign that it is under way last.
func abandon(dir, folder string) error {
	if _, err := os.Stat(filepath.Join(dir, restoringName)); err != nil {
		return nil
	}
	for _, name := range []string{checkpointName, wal.StableName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if folder != "" {
		if err := os.RemoveAll(filepath.Join(dir, folder)); err != nil {
			return err
		}
	}
	if err := disk.OS.SyncDir(dir); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, restoringName)); err != nil {
		return err
	}
	return disk.OS.SyncDir(dir)
}

// finish moves the files into place and ends the restore by removing its folder.
func finish(dir string) error {
	work := filepath.Join(dir, restoringName)
	if err := disk.OS.SyncDir(work); err != nil {
		return err
	}
	for _, name := range []string{wal.StableName, checkpointName} {
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

// renew checks a copy of a backup and begins a new history in it.
func renew(path string, opts RestoreOptions) (*header, error) {
	f, h, err := openChecked(path)
	if err != nil {
		return nil, err
	}
	next, err := renewHeader(h, opts)
	if err == nil {
		err = checkRecords(f, h)
	}
	for range 2 { // both meta pages of bbolt lead to the new header then
		if err == nil {
			err = f.Update(func(tx *bolt.Tx) error { return writeHeader(tx, next) })
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return next, err
}

// renewHeader returns the header of the new history.
func renewHeader(h *header, opts RestoreOptions) (*header, error) {
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
	next.conf = raft.Configuration{Servers: []raft.Server{{
		Suffrage: raft.Voter, ID: raft.ServerID(opts.Server), Address: raft.ServerAddress(opts.Server),
	}}}
	next.confIndex = next.index
	return next, nil
}

// checkRecords reads everything that the header names.
func checkRecords(f *boltFile, h *header) error {
	path := f.file.Name()
	return asDamage(path, f.read(func(tx *bolt.Tx) error {
		err := readRecords(tx, h, 0, func([]loaded) bool { return true })
		if err != nil {
			return err
		}
		if err := readIdem(tx, h, func(uint64, []byte) error { return nil }); err != nil {
			return err
		}
		return h.leases.read(tx, func(kv.LeaseID, []byte) error { return nil })
	}))
}
