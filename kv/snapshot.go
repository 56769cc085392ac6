package kv

import (
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"
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
	order btree.Map[string, *slot]
	// pinned is set for a checkpoint's view, which is never ended.
	pinned bool
	// refs belongs to the holder of the apply lock.
	refs int
	lost atomic.Bool
}

// snapshots are the views held open, oldest first, and the slots that hold
// versions for them.
type snapshots struct {
	open     []*view
	retained []*slot
	bytes    int64
	ended    uint64
}

// Snapshot opens the newest published revision.
func (s *State) Snapshot() (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
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
	v := &view{at: at, time: m.time, floor: m.floor, order: *m.order.Copy(), pinned: pinned, refs: 1}
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
	sl, ok := n.view.order.Get(key)
	if !ok {
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
		n.view.order.Ascend(max(prefix, after), func(key string, sl *slot) bool {
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
		defer n.state.mu.Unlock()
		n.state.closeViewLocked(n.view)
	})
}

func (s *State) closeViewLocked(v *view) {
	m := &s.mu.machine
	v.refs--
	if v.refs > 0 || v.lost.Load() {
		return
	}
	s.dropViewLocked(slices.Index(m.snaps.open, v))
}

// dropViewLocked takes the i-th view out. What only the oldest view held is
// let go with it.
func (s *State) dropViewLocked(i int) {
	m := &s.mu.machine
	m.snaps.open = slices.Delete(m.snaps.open, i, i+1)
	if i > 0 || len(m.snaps.retained) == 0 {
		return
	}
	kept := m.snaps.retained[:0]
	m.snaps.bytes = 0
	for _, sl := range m.snaps.retained {
		if bytes := s.pruneLocked(sl); bytes > 0 {
			m.snaps.bytes += bytes
			kept = append(kept, sl)
		} else {
			sl.retained = false
		}
	}
	clear(m.snaps.retained[len(kept):])
	m.snaps.retained = kept
}

// boundSnapshotsLocked ends the oldest views while there are too many, they are
// too old, or they hold too much memory.
func (s *State) boundSnapshotsLocked() {
	m := &s.mu.machine
	for {
		i := slices.IndexFunc(m.snaps.open, func(v *view) bool { return !v.pinned })
		if i < 0 {
			return
		}
		v := m.snaps.open[i]
		if len(m.snaps.open) <= s.opts.SnapshotMax && m.snaps.bytes <= s.opts.SnapshotBytes &&
			m.time-v.time <= s.opts.SnapshotAge.Milliseconds() {
			return
		}
		v.lost.Store(true)
		m.snaps.ended++
		s.dropViewLocked(i)
	}
}

// unlinkLocked lets go of the versions that this entry replaced, but for those
// that a snapshot sees.
func (s *State) unlinkLocked() {
	m := &s.mu.machine
	for _, sl := range m.linked {
		e := sl.cur.Load()
		replaced := e.prev.Load()
		if s.pruneLocked(sl) == 0 {
			continue
		}
		if e.prev.Load() == replaced {
			m.snaps.bytes += held(replaced)
		}
		if !sl.retained {
			sl.retained = true
			m.snaps.retained = append(m.snaps.retained, sl)
		}
	}
	clear(m.linked)
	m.linked = m.linked[:0]
}

// pruneLocked unlinks those older versions of sl that no view sees and returns
// the bytes of those that stay.
func (s *State) pruneLocked(sl *slot) (bytes int64) {
	m := &s.mu.machine
	child := sl.cur.Load()
	for p := child.prev.Load(); p != nil; p = p.prev.Load() {
		if !m.snaps.sees(p.Mod, child.Mod) {
			continue
		}
		if child.prev.Load() != p {
			child.prev.Store(p)
		}
		bytes += held(p)
		child = p
	}
	if child.prev.Load() != nil {
		child.prev.Store(nil)
	}
	return bytes
}

// held returns what a version costs that is kept for a view only, in bytes.
func held(e *Entry) int64 { return int64(len(e.value)) + entryOverhead/2 }

// sees reports whether a view lies at or after from and before to.
func (n *snapshots) sees(from, to Rev) bool {
	i, _ := slices.BinarySearchFunc(n.open, from, func(v *view, r Rev) int {
		switch {
		case v.at.Rev < r:
			return -1
		case v.at.Rev > r:
			return 1
		}
		return 0
	})
	return i < len(n.open) && n.open[i].at.Rev < to
}
