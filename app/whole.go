package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/object"
)

// wholePut bounds the storing of one segment while a backup is restored.
const wholePut = 5 * time.Minute

// WholeBackup is Backup with all values that lie in object storage, so that it is
// restored without that. It fails with an error that matches kv.ErrDamaged or
// kv.ErrTierUnavailable if one cannot be read. Deleting segments waits for it.
func (e *Engine) WholeBackup(ctx context.Context, w io.Writer) (int64, error) {
	if e.objects == nil {
		return e.Backup(ctx, w)
	}
	var image *persist.Image
	ids, release, err := e.objects.mover.Pin(ctx, func() (err error) {
		if err = e.Checkpoint(ctx); err == nil {
			image, err = e.disk.OpenBackup()
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	defer release()
	defer image.Close()
	n, err := object.WriteWhole(ctx, w, image, image.Size(), e.objects.store, ids)
	return n, objectProblem(err)
}

// RestoreOptions configure a restore. The zero value is the default.
type RestoreOptions struct {
	// ObjectStore is where the values go that lay in object storage, if the backup
	// has them: a URL as in Config. By default it is a folder within the data
	// folder, which the server then finds by itself.
	ObjectStore string
}

// errNoObjectsInside is returned where a place is named for what is not there.
var errNoObjectsInside = errors.New("the backup refers to objects, and has none: start the server with the object store that they are in")

// RestoreTo makes a new data folder dir, which must not exist or be empty, from a
// backup file. The new store begins a new epoch, so that no ETag, token or
// position of the old one means anything to it.
func RestoreTo(ctx context.Context, file, dir string, o RestoreOptions) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	whole, err := object.OpenWhole(f, info.Size())
	if err != nil {
		return fmt.Errorf("restore %s: %w", file, err)
	}
	if whole == nil && o.ObjectStore != "" {
		return errNoObjectsInside
	}
	options := persist.RestoreOptions{Server: raft.Server{ID: cluster.DefaultID, Address: cluster.DefaultID}, Folder: objectFolder}
	if whole != nil {
		options.Offset, options.Size = whole.Image, whole.Size
		options.Beside = func() error { return restoreObjects(ctx, whole, dir, o.ObjectStore) }
	}
	_, err = persist.Restore(file, dir, options)
	return err
}

// restoreObjects stores the segments of a backup.
func restoreObjects(ctx context.Context, whole *object.Whole, dir, url string) error {
	if url == "" {
		folder, err := filepath.Abs(filepath.Join(dir, objectFolder))
		if err != nil {
			return err
		}
		url = "dir://" + folder
	}
	store, err := object.Open(url, object.Options{PutTimeout: wholePut})
	if err != nil {
		return err
	}
	return whole.Segments(func(id object.ID, b []byte) error {
		return object.Upload(ctx, store, id, b)
	})
}

// objectProblem makes an error of object storage one of the tier.
func objectProblem(err error) error {
	switch {
	case errors.Is(err, object.ErrDamaged):
		return fmt.Errorf("%w: %w", kv.ErrDamaged, err)
	case errors.Is(err, object.ErrUnavailable):
		return fmt.Errorf("%w: %w", kv.ErrTierUnavailable, err)
	}
	return err
}
