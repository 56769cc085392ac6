package wal

import (
	"fmt"

	"keywatch/persist/disk"
)

// Remedy is the advice for a log that cannot be opened: it cannot be repaired without
// giving up acknowledged writes.
const Remedy = disk.ElsewhereRemedy + " (FILE may be this folder's checkpoint.db: it has everything up to the last checkpoint)"

// Found is what Survey finds in a folder.
type Found struct {
	Segments int          // files of the log
	Store    disk.StoreID // that they name; 0 if none does
	Stable   bool         // whether there is a stable store's file
}

// Survey looks for a log in dir without changing anything. It fails as Open does if a
// segment's head cannot be read, or segments belong to different stores.
func Survey(fsys disk.FS, dir string) (f Found, err error) {
	numbers, _, err := listFiles(fsys, dir)
	if err != nil {
		return f, fmt.Errorf("look for a log: %w", err)
	}
	for _, n := range numbers {
		s, err := openSegment(fsys, dir, n)
		if err != nil {
			return f, fmt.Errorf("look for a log: %w", err)
		}
		s.file.Close()
		if s.store != 0 && f.Store != 0 && s.store != f.Store {
			return f, s.foreign(f.Store)
		}
		f.Segments++
		f.Store = max(f.Store, s.store)
	}
	f.Stable, err = disk.Exists(fsys, dir, StableName)
	return f, err
}
