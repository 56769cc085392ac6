package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"keywatch/persist/disk"
	"keywatch/persist/wal"
)

// legacyID is the file in which earlier releases kept the store's id, once it had
// values in object storage.
const legacyID = "store-id"

// A folder is what was found in a data folder before anything in it was changed.
type folder struct {
	dir        string
	id         disk.Identity
	named      bool // whether there is a store file, which every folder of this release has
	legacy     disk.StoreID
	checkpoint bool
	log        wal.Found
	objects    bool // whether there are segments of values; not looked for if named
}

// survey looks what there is. It fails if a later release wrote the folder, or if what
// says whose it is cannot be read.
func survey(fsys disk.FS, dir string) (f folder, err error) {
	f.dir = dir
	if f.id, f.named, err = disk.ReadIdentity(fsys, dir); err != nil {
		return f, err
	}
	if f.legacy, err = readLegacyID(dir); err != nil {
		return f, err
	}
	switch _, err := os.Stat(filepath.Join(dir, checkpointName)); {
	case err == nil:
		f.checkpoint = true
	case !errors.Is(err, fs.ErrNotExist):
		return f, err
	}
	if f.log, err = wal.Survey(fsys, dir); err != nil {
		return f, err
	}
	if f.named {
		return f, nil
	}
	segments, err := filepath.Glob(filepath.Join(dir, "objects", "*", "*", "*.seg"))
	f.objects = len(segments) > 0
	return f, err
}

// readLegacyID returns the id in the file of earlier releases; 0 if there is none.
func readLegacyID(dir string) (disk.StoreID, error) {
	path := filepath.Join(dir, legacyID)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	id, ok := disk.ParseStoreID(strings.TrimSpace(string(b)))
	if !ok {
		return 0, &disk.DamageError{
			File: path, Offset: disk.Unknown, Reason: "it does not hold the id of a store",
			Remedy: "it holds no keys: move it away, and the next start draws another id; or restore a backup into another folder",
		}
	}
	return id, nil
}

// blank reports whether no store was ever begun here. What a first start leaves that
// was cut short counts as blank too: nothing was acknowledged.
func (f *folder) blank() bool {
	return !f.named && f.legacy == 0 && f.log.Segments == 0 && !f.log.Stable && !f.objects
}

// rest names what is there beside the checkpoint and the log.
func (f *folder) rest() string {
	var names []string
	for _, x := range []struct {
		there bool
		name  string
	}{{f.checkpoint, checkpointName}, {f.log.Segments > 0, "the log"}, {f.log.Stable, wal.StableName},
		{f.named, disk.StoreFile}, {f.legacy != 0, legacyID}, {f.objects, "objects"}} {
		if x.there {
			names = append(names, x.name)
		}
	}
	return strings.Join(names, ", ")
}

// lostCheckpoint is the error for a folder without a checkpoint that has held one.
func (f *folder) lostCheckpoint() error {
	what := checkpointName
	if f.log.Segments == 0 {
		what = checkpointName + " and the log, log-*.seg,"
	}
	verb := "is"
	if f.log.Segments == 0 {
		verb = "are"
	}
	return &disk.MisfitError{
		Kind: disk.ErrMissing, File: filepath.Join(f.dir, what),
		Reason: fmt.Sprintf("%s missing: the folder has held a store, and still has %s", verb, f.rest()),
		Remedy: disk.PutBackRemedy,
	}
}

// lostLog is the error for a folder whose log is not there, or is a new one beside
// files that are older.
func (f *folder) lostLog(checkpoint uint64, reason string) error {
	remedy := disk.PutBackRemedy
	if checkpoint > 0 {
		remedy += fmt.Sprintf("; %s is such a FILE: it lacks only what was written after the last checkpoint",
			filepath.Join(f.dir, checkpointName))
	}
	return &disk.MisfitError{
		Kind: disk.ErrMissing, File: filepath.Join(f.dir, "log-*.seg"), Reason: reason, Remedy: remedy,
	}
}

// noStore is the error for a folder in which a store is expected and none was begun.
func noStore(dir string) error {
	return &disk.MisfitError{
		Kind: disk.ErrMissing, File: dir, Reason: "holds no store",
		Remedy: "mount or put back the folder that does, or start without --existing to begin a new one",
	}
}

// store returns the id that the files name, of which those of the checkpoint and of the
// stable store are given; a new one if none does. A first start that was cut short may
// have signed some only. It fails if checkpoint and log are of different stores; whether
// the stable store is of this one is checked later.
func (f *folder) store(checkpoint, stable disk.StoreID) (disk.StoreID, error) {
	path := filepath.Join(f.dir, checkpointName)
	switch log := f.log.Store; {
	case f.named && checkpoint != 0 && checkpoint != f.id.Store:
		return 0, foreign(path, checkpoint, "the folder", f.id.Store)
	case f.named:
		return f.id.Store, nil // the log's is checked when it is opened
	case checkpoint != 0 && log != 0 && checkpoint != log:
		return 0, foreign(path, checkpoint, "the log beside it", log)
	case checkpoint != 0:
		return checkpoint, nil
	case log != 0:
		return log, nil
	case stable != 0:
		return stable, nil
	case f.legacy != 0:
		return f.legacy, nil
	}
	return disk.NewStoreID(), nil
}

// foreign is the error for a file of another store than the files beside it.
func foreign(path string, store disk.StoreID, beside string, other disk.StoreID) error {
	return &disk.MisfitError{
		Kind: disk.ErrForeign, File: path,
		Reason: fmt.Sprintf("belongs to store %s, and %s to store %s", store, beside, other),
		Remedy: disk.PutBackRemedy,
	}
}
