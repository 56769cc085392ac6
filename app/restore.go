package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"keywatch/cluster"
	"keywatch/persist"
	"keywatch/persist/object"
)

// restorePut bounds the storing of one segment while a backup is restored.
const restorePut = 5 * time.Minute

// RestoreOptions configure a restore. The zero value is the default.
type RestoreOptions struct {
	// ObjectStore is where the values go that lay in object storage, if the backup
	// has them: a URL as in Config. By default it is a folder within the data
	// folder, which the server then finds by itself.
	ObjectStore string
}

// errNoObjectsInside is returned where a place is named for what is not there.
var errNoObjectsInside = errors.New("the backup refers to objects, and has none: start the server with the object store that they are in")

// Restore makes a new data folder dir, which must not exist or be empty, from a
// backup file. The new store begins a new epoch, so that no ETag, token or
// position of the old one means anything to it.
func Restore(ctx context.Context, file, dir string, o RestoreOptions) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	full, err := object.OpenFull(f, info.Size())
	if err != nil {
		return fmt.Errorf("restore %s: %w", file, err)
	}
	if full == nil && o.ObjectStore != "" {
		return errNoObjectsInside
	}
	options := persist.RestoreOptions{Server: cluster.DefaultID, Folder: objectFolder}
	if full != nil {
		options.Offset, options.Size = full.Image, full.Size
		options.Beside = func() error { return restoreObjects(ctx, full, dir, o.ObjectStore) }
	}
	_, err = persist.Restore(file, dir, options)
	return err
}

// restoreObjects stores the segments of a backup.
func restoreObjects(ctx context.Context, full *object.FullBackup, dir, url string) error {
	if url == "" {
		folder, err := filepath.Abs(filepath.Join(dir, objectFolder))
		if err != nil {
			return err
		}
		url = "dir://" + folder
	}
	store, err := object.Open(url, object.Options{PutTimeout: restorePut})
	if err != nil {
		return err
	}
	return full.Segments(func(id object.ID, b []byte) error {
		return object.Upload(ctx, store, id, b)
	})
}
