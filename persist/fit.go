package persist

import (
	"fmt"
	"path/filepath"

	"keywatch/persist/disk"
	"keywatch/persist/wal"

	bolt "go.etcd.io/bbolt"
)

// keyStore is the key of the stable store that says whose it is.
var keyStore = []byte("Store")

// fit compares how far checkpoint and log reach, before anything is changed. It fails
// with a *disk.MisfitError.
func (db *DB) fit(f *folder, log *wal.Log) error {
	ext, err := log.Extent()
	if err != nil {
		return err
	}
	if db.file.Load() == nil { // a new checkpoint will do if the log holds everything
		if ext.First != 1 {
			return f.lostCheckpoint()
		}
		return nil
	}
	h := db.head.Load()
	begins := ext.Floor + 1
	if ext.Last > 0 {
		begins = ext.First
	}
	if db.discard, err = beforeInstall(h, log, ext); db.discard || err != nil {
		return err
	}
	switch {
	case begins > h.index+1:
		return outdated(filepath.Join(db.dir, checkpointName),
			fmt.Sprintf("it reaches to log index %d, and the log beside it begins at %d", h.index, begins))
	case ext.Last > 0 && ext.Last < h.index:
		return db.outdatedLog(fmt.Sprintf("it ends at index %d, and the checkpoint reaches to %d", ext.Last, h.index))
	case ext.Groups < h.link.groups:
		return db.outdatedLog(fmt.Sprintf("it has %d groups, and had %d at the last checkpoint", ext.Groups, h.link.groups))
	case ext.Groups == 0 && db.stable.Voted() && (h.seq == 0 || h.link.store == 0):
		return f.lostLog(h.index, "are new and empty, and this server has written before: the right ones are missing")
	case ext.Last == 0 || ext.First > h.index || h.index == 0:
		return nil
	}
	return db.fitTerm(h, log)
}

// beforeInstall reports whether a log is that of before an install that a crash has cut short. One
// that has the checkpoint's last entry is not: it continues from there.
func beforeInstall(h *header, log *wal.Log, ext wal.Extent) (bool, error) {
	if !h.installed || ext.Last == 0 || ext.Groups < h.link.groups || ext.First > h.index {
		return false, nil
	}
	if ext.Last < h.index {
		return true, nil
	}
	term, err := termAt(log, h.index)
	return err == nil && term != h.term, err
}

func (db *DB) outdatedLog(reason string) error {
	return outdated(filepath.Join(db.dir, "log-*.seg"), reason)
}

func outdated(path, reason string) error {
	return &disk.MisfitError{
		Kind: disk.ErrOutdated, File: path,
		Reason: "is an earlier copy than the files beside it: " + reason, Remedy: disk.PutBackRemedy,
	}
}

// fitTerm compares the terms of checkpoint and log where they meet.
func (db *DB) fitTerm(h *header, log *wal.Log) error {
	term, err := termAt(log, h.index)
	if err != nil || term == h.term {
		return err
	}
	return &disk.MisfitError{
		Kind: disk.ErrForeign, File: filepath.Join(db.dir, checkpointName),
		Reason: fmt.Sprintf("does not belong to the log beside it: at log index %d it has term %d, and the log has %d", h.index, h.term, term),
		Remedy: disk.PutBackRemedy,
	}
}

// termAt returns the term of a log entry.
func termAt(log *wal.Log, index uint64) (uint64, error) {
	var e wal.Entry
	err := log.Read(index, &e)
	return e.Term, err
}

// signedStable returns the store that the stable store names; 0 if it names none.
func (db *DB) signedStable() disk.StoreID {
	b, _ := db.stable.Get(keyStore)
	id, _ := disk.ParseStoreID(string(b))
	return id
}

// checkStable refuses the stable store of another store.
func (db *DB) checkStable() error {
	id := db.signedStable()
	if id == 0 || id == db.store {
		return nil
	}
	return &disk.MisfitError{
		Kind: disk.ErrForeign, File: filepath.Join(db.dir, wal.StableName),
		Reason: fmt.Sprintf("belongs to store %s, and the folder to store %s", id, db.store),
		Remedy: wal.StableRemedy,
	}
}

// mendStable sees to it that the stable store knows the newest term. One that is lost or
// an earlier copy is mended: a sole voter has promised nothing to others. A member of a
// cluster must refuse instead.
func (db *DB) mendStable(f *folder, ext wal.Extent) error {
	want := db.head.Load().term
	if ext.Last > 0 {
		term, err := termAt(db.wal, ext.Last)
		if err != nil {
			return err
		}
		want = max(want, term)
	}
	hard, err := db.stable.Hard()
	have := hard.Term
	switch {
	case err != nil:
		return err
	case want == 0 && have > 0 && !db.stable.Voted() && ext.Groups == 0:
		return db.stable.SetHard(wal.Hard{}) // a first start was cut short while it bootstrapped
	case want <= have:
		return nil
	case f.log.Stable:
		db.log.Warn("the stable store is an earlier copy: its term is raised", "file", wal.StableName, "term", have, "raised to", want)
	default:
		db.log.Warn("the stable store is missing and is made again", "file", wal.StableName, "term", want)
	}
	return db.stable.SetHard(wal.Hard{Term: want})
}

// sign has every file name the store, and writes the store file last.
func (db *DB) sign(f *folder) error {
	ext, err := db.wal.Extent()
	if err != nil {
		return err
	}
	if err := db.mendStable(f, ext); err != nil {
		return err
	}
	if db.signedStable() == 0 {
		if err := db.stable.Set(keyStore, []byte(db.store.String())); err != nil {
			return err
		}
	}
	if h := db.head.Load(); h.link.store == 0 {
		next := h.clone()
		next.link = link{store: db.store, groups: ext.Groups}
		if err := db.update(db.file.Load(), txHeader, func(tx *bolt.Tx) error { return writeHeader(tx, next) }); err != nil {
			return fmt.Errorf("sign checkpoint: %w", err)
		}
		db.head.Store(next)
	}
	db.id.Lock()
	defer db.id.Unlock()
	if db.id.Identity = f.id; f.named {
		return nil
	}
	db.id.Identity = disk.Identity{Level: disk.Level, Store: db.store, Release: db.opts.Release}
	return db.id.Write(db.opts.FS, db.dir)
}
