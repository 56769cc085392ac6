package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"keywatch/auth"
	"keywatch/persist"
	"keywatch/persist/disk"
	"keywatch/persist/object"
)

// restorePut bounds the storing of one segment while a backup is restored.
const restorePut = 5 * time.Minute

// RestoreOptions configure a restore. The zero value is the default.
type RestoreOptions struct {
	// ObjectStore is where the values go that lay in object storage, if the backup
	// has them: a URL as in Config. By default it is a folder within the data
	// folder, which the server finds without being told.
	ObjectStore string
	// Release is the version of this program, for the store file. It may be empty.
	Release string
	// RevokeKeys leaves the API keys of the backup out. Sessions and tickets always end.
	RevokeKeys bool
}

// errNoObjectsInside is returned where a place is named for what is not there.
var errNoObjectsInside = errors.New("the backup has no objects in it: restore it without --object-store, and start the server with the object store that they are in")

// Restored is what a restore has to tell.
type Restored struct {
	// ObjectStore is the URL of the object store that values of the backup are in, which
	// the server must be started with; empty if all are in the data folder, or if the backup
	// does not name it.
	ObjectStore string
	// Users are those that are as they were when the backup was made, Credentials their API keys
	// and sessions, and Revoked those that were left out.
	Users, Credentials, Revoked int
}

// Restore makes a new data folder dir, which must not exist or be empty, from a
// backup file. The new store begins a new epoch, so that no ETag, token or
// position of the old one means anything to it. If it fails no server starts on the
// folder until a restore has succeeded. Errors as those of persist.Restore.
func Restore(ctx context.Context, file, dir string, o RestoreOptions) (done Restored, err error) {
	f, err := os.Open(file)
	if err != nil {
		return done, fmt.Errorf("restore: %w", err)
	}
	defer f.Close()
	r := &restoration{file: f, path: file, dir: dir, options: o}
	_, err = persist.Restore(file, dir, persist.RestoreOptions{
		Release: o.Release, Folder: objectFolder,
		Find:   r.find,
		Beside: func() error { return r.objects(ctx) },
		Objects: func(named string) string {
			done.ObjectStore = r.place(named)
			return done.ObjectStore
		},
		Private: func(name string) bool { return done.count(name, o.RevokeKeys) },
	})
	return done, err
}

// count counts a private record, and returns whether the restored store has it.
func (r *Restored) count(name string, revoke bool) (keep bool) {
	switch {
	case auth.IsUserRecord(name):
		r.Users++
	case !auth.IsCredentialRecord(name):
	case revoke:
		r.Revoked++
		return false
	default:
		r.Credentials++
	}
	return true
}

// A restoration is a restore under way.
type restoration struct {
	file      *os.File
	path, dir string
	options   RestoreOptions
	full      *object.FullBackup // nil if the backup has no objects in it
}

// find looks what the backup is, and where the checkpoint in it.
func (r *restoration) find() (offset, size int64, err error) {
	info, err := r.file.Stat()
	if err != nil {
		return 0, 0, err
	}
	if r.full, err = object.OpenFull(r.file, info.Size()); err != nil {
		return 0, 0, backupProblem(r.path, err)
	}
	if r.full == nil {
		if r.options.ObjectStore != "" {
			return 0, 0, errNoObjectsInside
		}
		return 0, 0, nil
	}
	return r.full.Image, r.full.Size, nil
}

// place returns the URL of the object store that the values are in, of which the backup
// names one.
func (r *restoration) place(named string) string {
	if r.full == nil {
		return named // they stay there
	}
	return r.options.ObjectStore
}

// objects stores the segments of the backup.
func (r *restoration) objects(ctx context.Context) error {
	if r.full == nil {
		return nil
	}
	url := r.options.ObjectStore
	if url == "" {
		folder, err := filepath.Abs(filepath.Join(r.dir, objectFolder))
		if err != nil {
			return err
		}
		url = "dir://" + folder
	}
	store, err := object.Open(url, object.Options{PutTimeout: restorePut})
	if err == nil {
		err = object.Make(store)
	}
	if err != nil {
		return err
	}
	err = r.full.Segments(func(id object.ID, b []byte) error {
		return object.Upload(ctx, store, id, b)
	})
	return backupProblem(r.path, err)
}

// backupProblem makes an error about a full backup one that names the file.
func backupProblem(path string, err error) error {
	b, ok := errors.AsType[*object.BackupError](err)
	switch {
	case !ok:
		return err
	case b.Kind == object.ErrNewer:
		return &disk.MisfitError{Kind: disk.ErrNewer, File: path, Reason: "was written by a later release of keywatch: " + b.Reason, Remedy: disk.NewerRemedy}
	}
	return &disk.DamageError{File: path, Offset: b.Offset, Reason: b.Reason, Remedy: "use another backup"}
}
