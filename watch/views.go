package watch

import (
	"sync"
	"time"

	"keywatch/kv"
)

const (
	// freeViews is how many snapshots may be open before they are shared.
	freeViews = 8
	// shareFor is how long a snapshot is young enough to be shared then.
	shareFor = 100 * time.Millisecond
)

// views opens the snapshots that watchers begin from. When many come at once,
// after a restart or a network's hiccup, they share one, so that the number of
// snapshots, and what each keeps alive, does not grow with that of watchers.
type views struct {
	source Snapshotter

	mu struct {
		sync.Mutex
		open   int
		newest *view
	}
}

// A view is a snapshot that watchers share.
type view struct {
	*kv.Snapshot
	opened time.Time
	// refs belongs to the holder of views.mu.
	refs int
}

// acquire returns a view of history in epoch since min, which is to be given
// back by release. It fails as Snapshotter.Snapshot does.
func (v *views) acquire(min kv.Position) (*view, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := v.mu.newest; n != nil && v.mu.open >= freeViews && n.serves(min) {
		n.refs++
		return n, nil
	}
	snap, err := v.source.Snapshot()
	if err != nil {
		return nil, err
	}
	v.mu.open++
	v.mu.newest = &view{Snapshot: snap, opened: time.Now(), refs: 1}
	return v.mu.newest, nil
}

func (n *view) serves(min kv.Position) bool {
	at := n.Position()
	return at.Epoch == min.Epoch && at.Rev >= min.Rev && n.Err() == nil && time.Since(n.opened) < shareFor
}

func (v *views) release(n *view) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n.refs--
	if n.refs > 0 {
		return
	}
	v.mu.open--
	if v.mu.newest == n {
		v.mu.newest = nil
	}
	n.Close()
}
