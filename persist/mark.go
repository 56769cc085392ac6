package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// cleanName is the file whose presence says that the last run closed in order.
const cleanName = "clean-stop"

// TakeCleanMark removes the clean-stop mark and tells whether it was there. Call
// it before serving: once it returned, a crash of this run will be seen by the
// next one, because the removal is durable.
func TakeCleanMark(fsys FS, dir string) (clean bool, err error) {
	err = fsys.Remove(filepath.Join(dir, cleanName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("remove clean-stop mark: %w", err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return false, fmt.Errorf("remove clean-stop mark: %w", err)
	}
	return true, nil
}

// PutCleanMark leaves the clean-stop mark, durably. Call it last, after
// everything else in the folder was synced and closed.
func PutCleanMark(fsys FS, dir string) error {
	f, err := fsys.OpenFile(filepath.Join(dir, cleanName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("put clean-stop mark: %w", err)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("put clean-stop mark: %w", err)
	}
	return nil
}
