package app

import (
	"context"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/watch"
)

// snapshots are the checkpoints that an engine sends to other servers and takes from them.
type snapshots struct{ engine *Engine }

var _ cluster.Snapshots = snapshots{}

// Open implements cluster.Snapshots.
func (s snapshots) Open() (cluster.Image, error) {
	img, err := s.engine.disk.OpenImage()
	if err != nil {
		return nil, err
	}
	return img, nil
}

// Stage implements cluster.Snapshots.
func (s snapshots) Stage(size int64) (cluster.Staged, error) {
	staged, err := s.engine.disk.Stage(size)
	if err != nil {
		return nil, err
	}
	return staged, nil
}

// Begin implements cluster.Snapshots. Those who watch go where more is known.
func (s snapshots) Begin() {
	s.engine.hub.EndAll(watch.CodeStarting)
	s.engine.state().Retire()
}

// Load implements cluster.Snapshots. What can leave memory of the state before does so first: the
// two are there at once.
func (s snapshots) Load() (*kv.State, error) {
	e := s.engine
	for old := e.state(); old.Evict(old.Used()) > 0; {
	}
	bounds := e.bounds
	bounds.Publisher, bounds.Private = nil, nil
	next := kv.NewState(bounds)
	_, err := e.disk.Load(next)
	return next, err
}

// Replace implements cluster.Snapshots.
func (s snapshots) Replace(next *kv.State) {
	e := s.engine
	e.replacing.Lock()
	// Who may do what first: nothing of the new state may be shown to who may not see it there.
	next.FollowPrivate(e.access.table)
	e.current.Store(next)
	if e.store != nil {
		e.store.Replace(next)
	}
	e.replacing.Unlock()
	next.Follow(e.hub)
	e.memory.wakeEvictor()
}

// states are what the hub opens snapshots of: the state that there is when it does.
type states struct{ engine *Engine }

var _ watch.Snapshotter = states{}

// Snapshot implements watch.Snapshotter.
func (s states) Snapshot() (*kv.Snapshot, error) { return s.engine.store.LocalSnapshot() }

// Changed implements watch.Snapshotter.
func (s states) Changed(key string, rev kv.Rev) bool { return s.engine.state().Changed(key, rev) }

// loadPinned is persist.Options.LoadPinned.
func (e *Engine) loadPinned(ctx context.Context) error { return e.state().LoadPinned(ctx) }
