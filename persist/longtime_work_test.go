package persist_test

import (
	"errors"
	"os"
	"path/filepath"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/object"
)

// somethingElse does one of the things that happen to a store beside writes.
func (l *longTime) somethingElse() {
	switch l.rng.IntN(12) {
	case 0, 1, 2, 3:
		l.checkpoint()
	case 4:
		l.evict()
	case 5, 6:
		l.move()
	case 7:
		l.tidy()
	case 8:
		l.compact()
	case 9:
		l.restart()
	case 10:
		l.hold()
	case 11:
		l.backup()
	}
}

// records returns how many records of whatever kind state and file have: what background work
// can have to do with.
func (l *longTime) records() int {
	s := l.state.Stats()
	records, buckets := l.db.RawRecords()
	return s.DirtyKeys + s.Keys + s.Tombstones + s.IdemRecords + s.Leases + records + buckets + l.db.RawIdem()
}

// checkpoint makes one as raft does, and sometimes trims the log behind it.
func (l *longTime) checkpoint() {
	// Each transaction of a checkpoint writes or removes something, but for the last two.
	l.background("checkpoint", 8+2*l.records(), func() error {
		cp, err := l.state.Freeze()
		if err != nil {
			return err
		}
		return l.db.Checkpoint(cp, l.index, 1, nil)
	})
	if meta, ok := l.db.Meta(); ok && l.rng.IntN(2) == 0 {
		if err := l.db.Log().DeleteRange(0, meta.Index); err != nil {
			l.fatal("trim the log: %v", err)
		}
	}
}

// evict drops from memory what can be dropped.
func (l *longTime) evict() {
	for n := 0; l.state.Evict(1<<20) > 0; n++ {
		if n > l.model.Deadlines()+1000 {
			l.fatal("evict: %v", errWork)
		}
	}
	l.done["evict"]++
}

// move moves values to objects: all, or some of them.
func (l *longTime) move() {
	all := l.rng.IntN(2) == 0
	l.background("move", 20+10*l.records(), func() error {
		moved, err := l.mover.Move(l.t.Context(), 0, func(r kv.Resident) bool {
			return r.Tier() != kv.TierObject && (all || l.rng.IntN(3) == 0)
		})
		l.done["moved values"] += int(moved.Values)
		return err
	})
}

// tidy rewrites and deletes segments.
func (l *longTime) tidy() {
	l.background("tidy", 20+10*l.records()+4*l.segments(), func() error {
		s, err := l.mover.Tidy(l.t.Context())
		l.done["deleted segments"] += s.Deleted
		if s.Missing > 0 {
			l.fatal("%d segments are missing", s.Missing)
		}
		return err
	})
}

// segments returns how many objects there are.
func (l *longTime) segments() (n int) {
	for info, err := range l.objects.List(l.t.Context(), "") {
		if err != nil {
			l.fatal("%v", err)
		}
		if _, ok := object.ParseName(info.Name); ok {
			n++
		}
	}
	return n
}

func (l *longTime) compact() {
	l.background("compact", 8+2*l.records(), func() error { return l.db.Compact(l.t.Context()) })
}

// restart closes the folder in order and opens it again.
func (l *longTime) restart() {
	l.letGo()
	l.background("restart", 8+2*l.records(), func() error {
		if err := l.db.Close(true); err != nil {
			return err
		}
		err := l.open()
		for errors.Is(err, errHook) { // what failed is tried again, as an operator would
			l.done["failed start"]++
			_ = l.db.Close(false)
			err = l.open()
		}
		return err
	})
	l.judge("after a restart")
}

// hold opens a snapshot, or compares the one that is open with what the model was then.
func (l *longTime) hold() {
	if l.held == nil {
		var err error
		if l.held, err = l.state.Snapshot(); err != nil {
			l.fatal("snapshot: %v", err)
		}
		l.heldModel = l.model.Clone()
		return
	}
	if l.held.Err() == nil {
		l.compareSnapshot("a snapshot held open", l.held, l.heldModel)
		l.done["held snapshot"]++
	}
	l.letGo()
}

func (l *longTime) letGo() {
	if l.held != nil {
		l.held.Close()
	}
	l.held, l.heldModel = nil, nil
}

// backup restores a backup of the last checkpoint beside the store, which must not be
// refused.
func (l *longTime) backup() {
	if _, ok := l.db.Meta(); !ok {
		return
	}
	image, dir := filepath.Join(l.root, "image"), filepath.Join(l.root, "restored")
	img, err := l.db.OpenBackup()
	if err != nil {
		l.fatal("backup: %v", err)
	}
	saveTo(l.t, image, img)
	img.Close()
	if _, err := persist.Restore(image, dir, persist.RestoreOptions{}); err != nil {
		l.fatal("restore: %v", err)
	}
	db, err := persist.Open(dir, quiet)
	if err != nil {
		l.fatal("open what was restored: %v", err)
	}
	state := kv.NewState(kv.StateOptions{Presize: 1, Cold: db})
	if _, err := db.Load(state); err != nil {
		l.fatal("load what was restored: %v", err)
	}
	if err := errors.Join(db.Close(true), os.RemoveAll(dir)); err != nil {
		l.fatal("%v", err)
	}
	l.done["backup"]++
}

// pass lets time pass, as on an idle server: entries without commands end what is due.
func (l *longTime) pass(by int64) {
	for l.time += by; ; {
		before := l.model.Rev
		l.apply()
		at, ok := l.model.NextDeadline()
		if !ok || at > l.time {
			return
		}
		if l.model.Rev == before {
			l.fatal("something is due at %d and an entry at %d ends nothing", at, l.time)
		}
	}
}

// phase has crowds come and end.
func (l *longTime) phase(most int) {
	l.arrive(l.crowds(most))
	if l.rng.IntN(4) > 0 {
		l.checkpoint()
	}
	for range l.rng.IntN(6) {
		l.pass(l.minutes(20).Milliseconds())
		l.somethingElse()
	}
	l.judge("while crowds end")
	l.letGo()
	// An hour at the latest everything has ended, and another one later it is forgotten, in one
	// moment or with work between.
	for range 1 + l.rng.IntN(3) {
		l.pass(65 * 60_000)
		if l.rng.IntN(2) == 0 {
			l.somethingElse()
		}
	}
	l.letGo()
	l.pass(130 * 60_000)
	l.judge("when everything has ended")
	l.empty()
}

// empty checks that nothing is left of anything, in memory, in files and in the object store.
func (l *longTime) empty() {
	s := l.state.Stats()
	if s.Keys+s.Tombstones+s.Deadlines+s.IdemRecords+s.Leases+s.Locks+s.LockWaiters != 0 || len(l.state.Segments()) > 0 {
		l.fatal("everything has ended, and there is %+v, %v", s, l.state.Segments())
	}
	l.calm = true
	defer func() { l.calm = false }()
	// The first writes what ended, the second that it is forgotten, and the sweep after that one
	// buries it, however many ranges wait for each other.
	for range 2 {
		l.checkpoint()
	}
	records, buckets := l.db.RawRecords()
	if n := l.db.RawIdem(); records+buckets+n != 0 {
		l.fatal("everything has ended, and the file has %d records in %d ranges and %d outcomes", records, buckets, n)
	}
	l.tidy()
	if n := l.segments(); n > 0 {
		l.fatal("everything has ended, and there are %d objects", n)
	}
	if m := l.state.Memory(); m != (kv.Memory{}) {
		l.fatal("everything has ended, and memory holds %+v", m)
	}
	l.restart()
	l.compact()
	l.done["empty"]++
}
