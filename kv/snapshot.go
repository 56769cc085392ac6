package kv

import (
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A Snapshot reads the state as it was at one revision. It is safe for
// concurrent use and must be closed. A snapshot that is open too long, or in
// the way of too many others, is ended: what was read from it counts only if
// Err returns nil afterwards.
type Snapshot struct {
	state *State
	view  *view
	once  sync.Once
}

// A view is one revision held open, shared by all snapshots of that revision.
type view struct {
	at    Position
	time  int64
	floor Rev
	order index
	// pinned is set for a checkpoint's view, which is never ended, and for one that is
	// closing: it has no readers, and what it kept is let go in steps.
	pinned, closing bool
	// The rest, but for lost, belongs to the holder of the apply lock.
	refs int
	// kept are the replaced versions of which this is the newest view that sees
	// them, cold those whose value is not in memory, bytes what they take.
	kept, cold []keptVersion
	bytes      int64
	// slots and nodes are what bytes has of slots that left the index since, and of its
	// nodes that were copied because they changed; most bounds nodes. changed is the slot
	// that went into the index, or left it, last.
	slots, nodes, most int64
	changed            *slot
	lost               atomic.Bool
}

// A keptVersion is a version that is linked for views only.
type keptVersion struct {
	slot  *slot
	entry *Entry
}

// snapshots are the views held open, oldest first.
type snapshots struct {
	open []*view
	// kept is what all views keep, bytes what those keep that can be ended.
	kept, bytes int64
	closing     int // how many are
	ended       uint64
}

// Snapshot opens the newest published revision. It fails with ErrSnapshotLost if the state was
// retired.
func (s *State) Snapshot() (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired.Load() {
		return nil, ErrSnapshotLost
	}
	return &Snapshot{state: s, view: s.openViewLocked(false)}, nil
}

func (s *State) openViewLocked(pinned bool) *view {
	m := &s.mu.machine
	at := Position{Epoch(s.epoch.Load()), m.rev}
	if n := len(m.snaps.open); n > 0 && !pinned {
		last := m.snaps.open[n-1]
		if last.at == at && last.time == m.time && last.floor == m.floor && !last.pinned {
			last.refs++
			return last
		}
	}
	v := &view{at: at, time: m.time, floor: m.floor, order: m.order.copy(), most: m.order.bytes(), pinned: pinned, refs: 1}
	m.snaps.open = append(m.snaps.open, v)
	s.boundSnapshotsLocked()
	return v
}

// Position returns the position that the snapshot shows.
func (n *Snapshot) Position() Position { return n.view.at }

// Time returns the log time that the snapshot shows, in milliseconds.
func (n *Snapshot) Time() int64 { return n.view.time }

// Floor returns the revision below which deletions are not known any more: what
// changed since an older revision cannot be told.
func (n *Snapshot) Floor() Rev { return n.view.floor }

// Err returns ErrSnapshotLost once the snapshot was ended, else nil.
func (n *Snapshot) Err() error {
	if n.view.lost.Load() {
		return ErrSnapshotLost
	}
	return nil
}

// Get returns the version of key in the snapshot, nil if it is absent.
func (n *Snapshot) Get(key string) *Entry {
	return n.version(n.slot(key))
}

// changed reports whether key was written or deleted after rev, as State.Changed does: a change
// that the snapshot does not show yet counts.
func (n *Snapshot) changed(key string, rev Rev) bool { return n.state.Changed(key, rev) }

// slot returns the slot that the snapshot has for key, nil if it has none. That is
// the one in the map, which is found sooner, if that has a version so old: a key
// that was forgotten and created again in another slot has none there.
func (n *Snapshot) slot(key string) *slot {
	if sl := n.state.slot(key); sl != nil {
		if e, _ := sl.at(n.view.at.Rev); e != nil {
			return sl
		}
	}
	return n.view.order.find(key)
}

// version returns what Get does for the key of sl, which may be nil.
func (n *Snapshot) version(sl *slot) *Entry {
	if sl == nil {
		return nil
	}
	if e, _ := sl.at(n.view.at.Rev); e != nil && !e.Deleted() {
		return e
	}
	return nil
}

// Scan ranges over the keys that begin with prefix and come after the key
// after, in order of key.
func (n *Snapshot) Scan(prefix, after string) iter.Seq2[string, *Entry] {
	return n.walk(prefix, after, func(e *Entry) bool { return !e.Deleted() })
}

// Changes ranges over the keys that begin with prefix and changed after since,
// in order of key, with the tombstones of those that were deleted. It is
// complete only if since is at least Floor.
func (n *Snapshot) Changes(prefix string, since Rev) iter.Seq2[string, *Entry] {
	return n.walk(prefix, "", func(e *Entry) bool { return e.Mod > since })
}

func (n *Snapshot) walk(prefix, after string, want func(*Entry) bool) iter.Seq2[string, *Entry] {
	return func(yield func(string, *Entry) bool) {
		n.view.order.from(max(prefix, after), func(sl *slot) bool {
			key := sl.key()
			if !strings.HasPrefix(key, prefix) {
				return false
			}
			if key == after {
				return true
			}
			e, _ := sl.at(n.view.at.Rev)
			if e == nil || !want(e) {
				return true
			}
			return yield(key, e)
		})
	}
}

// Close ends the snapshot. It may be called twice.
func (n *Snapshot) Close() {
	n.once.Do(func() {
		n.state.mu.Lock()
		n.state.closeViewLocked(n.view)
		n.state.mu.Unlock()
		run(n.state.dropSteps())
	})
}

func (s *State) closeViewLocked(v *view) {
	m := &s.mu.machine
	v.refs--
	if v.refs > 0 || v.lost.Load() {
		return
	}
	m.snaps.close(v)
}

// close begins to let go of what v keeps, which counts against no bound any more. What it
// keeps of the index is at once that of the newest older view.
func (n *snapshots) close(v *view) {
	n.grow(v, -v.slots-v.nodes)
	if older := n.older(slices.Index(n.open, v)); older != nil {
		n.growIndex(older, v.slots, v.nodes)
	}
	if !v.pinned {
		n.bytes -= v.bytes
	}
	v.pinned, v.closing = true, true
	n.closing++
}

// unlinkLocked lets go of the versions that this entry replaced, but for those
// that a view sees. Of the views that see a version the newest keeps it: when
// that is dropped, only what it kept needs a look.
func (s *State) unlinkLocked() {
	m := &s.mu.machine
	newest := m.snaps.older(len(m.snaps.open))
	for _, sl := range m.linked {
		e := sl.cur.Load()
		replaced := e.prev.Load()
		if newest != nil && newest.at.Rev >= replaced.Mod {
			m.snaps.keep(newest, keptVersion{sl, replaced})
		} else {
			e.prev.Store(replaced.prev.Load())
		}
	}
	clear(m.linked)
	m.linked = m.linked[:0]
}

// keep has v keep a version.
func (n *snapshots) keep(v *view, k keptVersion) {
	list := &v.kept
	if k.entry.cold {
		list = &v.cold
	}
	*list = append(*list, k)
	n.grow(v, k.size())
}

// grow counts what v keeps in addition.
func (n *snapshots) grow(v *view, bytes int64) {
	v.bytes += bytes
	n.kept += bytes
	if !v.pinned {
		n.bytes += bytes
	}
}

// growIndex counts slots and nodes of the index, in bytes, that v keeps in addition.
func (n *snapshots) growIndex(v *view, slots, nodes int64) {
	nodes = min(nodes, v.most-v.nodes)
	v.slots += slots
	v.nodes += nodes
	n.grow(v, slots+nodes)
}

// indexChanged counts what the newest view keeps of the index after sl went into it or,
// if gone is set, left it. What changes beside the last change is in the same nodes.
func (m *machine) indexChanged(sl *slot, gone bool) {
	v := m.snaps.older(len(m.snaps.open))
	if v == nil {
		return
	}
	var slots, nodes int64
	if gone {
		slots = slotCost(sl.key())
	}
	if v.changed == nil || !m.order.near(v.changed, sl) {
		nodes = pathBytes
	}
	v.changed = sl
	m.snaps.growIndex(v, slots, nodes)
}

// size returns what the version takes, in bytes.
func (k keptVersion) size() int64 { return k.entry.cost() + entryOverhead/2 }

// unlink takes the version out of its key's chain. Its own link stays, for
// readers of older versions that are just passing through.
func (k keptVersion) unlink() {
	child := k.slot.cur.Load()
	for child.prev.Load() != k.entry {
		child = child.prev.Load()
	}
	child.prev.Store(k.entry.prev.Load())
}

// Len returns how many places the index of the snapshot has: those of keys, and of deletions
// that are remembered.
func (n *Snapshot) Len() int { return n.view.order.Len() }

// At returns the key in the i-th place of the index, counted from 0, and its version; nil if it
// is deleted.
func (n *Snapshot) At(i int) (string, *Entry) {
	sl, ok := n.view.order.GetAt(i)
	if !ok {
		return "", nil
	}
	return sl.key(), n.version(sl)
}
