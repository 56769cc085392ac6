package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"keywatch/persist"
)

// unsyncedName is the file whose presence says that the folder was served with
// writes acknowledged before their fsync. The clean-stop mark alone cannot tell:
// the start after a crash may be under another policy, and it is the crashed
// run's that decides whether writes may be gone.
const unsyncedName = "unsynced"

// wasUnsynced reports whether the folder bears the mark.
func wasUnsynced(dir string) (bool, error) {
	switch _, err := os.Stat(filepath.Join(dir, unsyncedName)); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, fmt.Errorf("look for the unsynced mark: %w", err)
	}
}

// markUnsynced puts the mark, durably. It comes before the first write that is
// acknowledged early.
func markUnsynced(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, unsyncedName), os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		err = errors.Join(f.Close(), persist.OS.SyncDir(dir))
	}
	if err != nil {
		return fmt.Errorf("put the unsynced mark: %w", err)
	}
	return nil
}

// unmarkUnsynced removes the mark, durably. It comes once everything is synced,
// and after a crash once the new epoch is.
func unmarkUnsynced(dir string) error {
	err := os.Remove(filepath.Join(dir, unsyncedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = persist.OS.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("remove the unsynced mark: %w", err)
	}
	return nil
}
