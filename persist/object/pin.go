package object

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"keywatch/kv"
)

// Pin calls open, and returns the segments that whatever open made of the state
// refers to, or some more. Until release is called, which may be called twice, they
// are not deleted. It fails with ctx's error or open's.
func (m *Mover) Pin(ctx context.Context, open func() error) (ids []ID, release func(), err error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer end() // until then nothing is moved or deleted
	live := m.opts.State().Segments()
	if err := open(); err != nil {
		return nil, nil, err
	}
	maps.Copy(live, m.opts.State().Segments()) // a command whose outcome was unknown may have come
	for id := range live {
		ids = append(ids, segmentOf(id))
	}
	slices.SortFunc(ids, func(a, b ID) int { return strings.Compare(a.Name(), b.Name()) })
	m.pin(ids, 1)
	return ids, sync.OnceFunc(func() { m.pin(ids, -1) }), nil
}

// pin counts the segments as pinned once more or, if n is -1, once less.
func (m *Mover) pin(ids []ID, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.pins == nil {
		m.mu.pins = make(map[ID]int)
	}
	for _, id := range ids {
		if m.mu.pins[id] += n; m.mu.pins[id] == 0 {
			delete(m.mu.pins, id)
		}
	}
}

func (m *Mover) pinned(id ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.pins[id] > 0
}

// inUse reports whether a segment may not be deleted whatever its age.
func (m *Mover) inUse(id ID, live map[kv.SegmentID]kv.Live, kept map[kv.SegmentID]bool) bool {
	name := kv.SegmentID{Store: uint64(id.Store), Epoch: id.Epoch, Seq: id.Seq}
	_, used := live[name]
	return used || kept[name] || m.pinned(id)
}
