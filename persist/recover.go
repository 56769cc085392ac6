package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"keywatch/kv"
	"keywatch/persist/disk"
	"keywatch/persist/wal"
)

// ErrNothing is returned by Recover where no state was ever stored.
var ErrNothing = errors.New("nothing is stored here")

// RecoverOptions configure Recover. Store is required.
type RecoverOptions struct {
	// Store is the id of the new store. To continue a call that was cut short it is the same as then.
	Store disk.StoreID
	// Begin, if not nil, is called while the folder is locked, before anything in it is changed.
	Begin func() error
	// Release is the version of this program, for the store file. It may be empty.
	Release string
	// MemoryMax bounds what is held in memory, in bytes; 0 is no bound.
	MemoryMax int64
	// Logger gets rare events; nil means slog.Default.
	Logger *slog.Logger

	// step, if not nil, is called before each step; its error is as a crash there. Tests use it.
	step func(name string) error
}

// A Recovered is what Recover has found and made.
type Recovered struct {
	// Meta is that of the new store.
	Meta kv.Meta
	// Index and Term are those of the newest log entry that it has.
	Index, Term uint64
	// Applied is how many entries of the log were newer than the checkpoint, Open how many of them were not
	// known to be committed.
	Applied, Open uint64
	// Roster is that of the state, of before; empty if a call was continued.
	Roster string
}

// Recover makes the folder of one server of several that of a new store with this server only. All that is in its log
// counts, whether it is known to be committed or not: each write that was acknowledged and reached this
// server is there. As after Restore the store has an id, an epoch and revisions of its own, an empty log, and knows
// of no other servers. The values in object storage stay where they are.
//
// If Recover is cut short no server starts in the folder; another call with the same Store continues.
// Errors: as Open, and ErrNothing.
func Recover(dir string, o RecoverOptions) (done Recovered, err error) {
	if o.step == nil {
		o.step = func(string) error { return nil }
	}
	if _, err := os.Stat(dir); err != nil {
		return done, fmt.Errorf("recover: %w", err)
	}
	lock, err := disk.LockDir(dir)
	if err != nil {
		return done, fmt.Errorf("recover: %w", err)
	}
	err = done.recover(dir, lock, &o)
	if err = errors.Join(err, lock.Close()); err != nil {
		return done, fmt.Errorf("recover: %w", err)
	}
	return done, nil
}

func (r *Recovered) recover(dir string, lock *disk.DirLock, o *RecoverOptions) error {
	path := filepath.Join(dir, checkpointName)
	h, err := readHead(path)
	if err != nil {
		return err
	}
	if o.Begin != nil {
		if err := o.Begin(); err != nil {
			return err
		}
	}
	if h.link.store != o.Store {
		if h, err = r.settle(dir, lock, o); err != nil {
			return err
		}
	}
	r.Meta, r.Index, r.Term = h.meta, h.index, h.term
	if err := clearFolder(dir, o.step); err != nil {
		return err
	}
	if err := o.step("begin"); err != nil {
		return err
	}
	return beginFolder(dir, disk.Identity{Level: disk.Level, Store: o.Store, Release: o.Release, Objects: h.link.objects}, h.term)
}

// readHead reads the header of a checkpoint.
func readHead(path string) (*header, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	f, h, err := openChecked(path, nil, nil)
	if err != nil {
		return nil, err
	}
	return h, f.Close()
}

// settle writes a checkpoint that has all of the log, and makes it that of the new store.
func (r *Recovered) settle(dir string, lock *disk.DirLock, o *RecoverOptions) (*header, error) {
	db, err := openLocked(dir, Options{Existing: true, Logger: o.Logger}, lock)
	if err != nil {
		return nil, err
	}
	err = r.checkpoint(db, o.MemoryMax)
	if err = errors.Join(err, db.shut()); err != nil {
		return nil, err
	}
	if err := o.step("renew"); err != nil {
		return nil, err
	}
	next, _, err := renew(filepath.Join(dir, checkpointName), func(h *header) link { return link{store: o.Store, objects: h.link.objects} }, nil)
	return next, err
}

// checkpoint applies the log and writes a checkpoint.
func (r *Recovered) checkpoint(db *DB, memory int64) error {
	state := kv.NewState(kv.StateOptions{Cold: db, MemoryMax: memory})
	db.opts.LoadPinned = state.LoadPinned
	if _, err := db.Load(state); err != nil {
		return err
	}
	last, term, err := r.replay(db, state)
	r.Roster = state.Roster()
	if err != nil || last == 0 {
		return errors.Join(err, db.nothing(last))
	}
	if index, _, _ := db.Last(); last == index {
		return nil
	}
	cp, err := state.Freeze()
	if err != nil {
		return err
	}
	return db.Checkpoint(cp, last, term, nil)
}

// nothing returns ErrNothing if there is no entry.
func (db *DB) nothing(last uint64) error {
	if last == 0 {
		return fmt.Errorf("%s: %w", db.dir, ErrNothing)
	}
	return nil
}

// replay applies all of the log that the checkpoint does not have, and returns the last entry.
func (r *Recovered) replay(db *DB, state *kv.State) (last, term uint64, err error) {
	last, term, _ = db.Last()
	end, err := db.Log().LastIndex()
	if err != nil {
		return last, term, err
	}
	committed := max(last, db.Log().Kept())
	r.Open = end - min(end, committed)
	var e wal.Entry
	for i := last + 1; i <= end; i++ {
		if err := db.Log().Read(i, &e); err != nil {
			return last, term, err
		}
		if e.Type != wal.Command || len(e.Data) == 0 {
			state.Skip(i, e.Term)
		} else if _, err := state.Apply(i, e.Term, e.Data); err != nil {
			return last, term, fmt.Errorf("apply log entry %d: %w", i, err)
		}
		last, term = i, e.Term
		r.Applied++
	}
	return last, term, nil
}

// clearFolder removes what belongs to the store before, but for the checkpoint.
func clearFolder(dir string, step func(string) error) error {
	names, err := disk.OS.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !replaced(name) {
			continue
		}
		if err := step("remove " + name); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return disk.OS.SyncDir(dir)
}

// replaced reports whether a file of a data folder does not stay when a new store begins with its checkpoint.
func replaced(name string) bool {
	switch name {
	case wal.StableName, disk.StoreFile, legacyID, incomingName, string(disk.CleanStop), string(disk.Unsynced):
		return true
	}
	return wal.IsSegment(name) || strings.HasSuffix(name, ".tmp")
}
