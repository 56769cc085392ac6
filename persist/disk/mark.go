package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Mark is an empty file in a data folder whose presence says something about
// the run that left it. Its value is the file's name.
type Mark string

const (
	// CleanStop says that the last run closed in order.
	CleanStop Mark = "clean-stop"
	// Unsynced says that the folder was served with writes acknowledged before their
	// fsync. CleanStop alone cannot tell: the start after a crash may be under another
	// policy, and it is the crashed run's that decides whether writes may be gone.
	Unsynced Mark = "unsynced"
)

// In reports whether the folder has the mark.
func (m Mark) In(fsys FS, dir string) (bool, error) { return Exists(fsys, dir, string(m)) }

// Put leaves the mark, durably.
func (m Mark) Put(fsys FS, dir string) error {
	f, err := fsys.OpenFile(filepath.Join(dir, string(m)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("put mark %s: %w", m, err)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("put mark %s: %w", m, err)
	}
	return nil
}

// Take removes the mark, durably, and reports whether it was there.
func (m Mark) Take(fsys FS, dir string) (was bool, err error) {
	err = fsys.Remove(filepath.Join(dir, string(m)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err != nil {
		return false, fmt.Errorf("remove mark %s: %w", m, err)
	}
	return true, nil
}
