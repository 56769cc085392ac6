package object

import (
	"context"
	"fmt"
	"time"

	"keywatch/kv"
)

// A Sweep is what a sweep found and did.
type Sweep struct {
	// Segments counts those of this store and epoch, Bytes what they take.
	Segments int
	Bytes    int64
	// Deleted counts those that were deleted, Waiting those that nothing refers to
	// and that are kept for a while, Missing those that keys refer to and that the
	// store does not have.
	Deleted, Waiting, Missing int
}

// Tidy rewrites the segments of which less than half is alive, or that belong to an
// earlier epoch, and deletes those of this store and epoch that nothing has
// referred to for long enough: no key, and no version that an open snapshot sees.
// Since when is remembered by this process only, so a restart begins anew. It fails
// as Move does.
func (m *Mover) Tidy(ctx context.Context) (Sweep, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return Sweep{}, err
	}
	defer end()
	s, err := m.tidy(ctx)
	m.swept(s, err)
	return s, err
}

func (m *Mover) tidy(ctx context.Context) (s Sweep, err error) {
	live := m.opts.State.Segments()
	sizes, err := m.inventory(ctx)
	if err != nil {
		return s, err
	}
	for _, info := range sizes {
		s.Segments++
		s.Bytes += info.Size
	}
	sparse := make(map[kv.SegmentID]bool)
	epoch := m.opts.State.Position().Epoch
	for id, l := range live {
		info, there := sizes[segmentOf(id)]
		ours := id.Store == uint64(m.opts.ID) && id.Epoch == epoch
		if ours && !there {
			s.Missing++
		} else if !ours || aliveSize(l)*2 < info.Size {
			sparse[id] = true
		}
	}
	if len(sparse) > 0 {
		moved, err := m.move(ctx, 0, func(r kv.Resident) bool {
			id, ok := r.Segment()
			return ok && sparse[id]
		})
		m.note(moved, err)
		if err != nil {
			return s, err
		}
	}
	err = m.deleteDead(ctx, sizes, &s)
	return s, err
}

// aliveSize returns how long a segment would be that holds only what is alive.
func aliveSize(l kv.Live) int64 { return l.Bytes + l.Values*Overhead + headSize + trailerSize }

// segmentOf turns the state's name of a segment into the store's.
func segmentOf(id kv.SegmentID) ID { return ID{StoreID(id.Store), id.Epoch, id.Seq} }

// inventory lists the segments of this store and epoch.
func (m *Mover) inventory(ctx context.Context) (map[ID]Info, error) {
	all := make(map[ID]Info)
	for info, err := range m.opts.Store.List(ctx, Prefix(m.opts.ID, m.opts.State.Position().Epoch)) {
		if err != nil {
			return nil, fmt.Errorf("list segments: %w", err)
		}
		if id, ok := ParseName(info.Name); ok {
			all[id] = info
		}
	}
	return all, nil
}

// deleteDead deletes what nothing has referred to for long enough. The token is
// held, so nothing is between upload and reference, unless its outcome is unknown:
// Grace is for that.
func (m *Mover) deleteDead(ctx context.Context, all map[ID]Info, s *Sweep) error {
	live, kept, now := m.opts.State.Segments(), m.opts.State.KeptSegments(), time.Now()
	for id, info := range all {
		if m.inUse(id, live, kept) {
			delete(m.dead, id)
			continue
		}
		since, known := m.dead[id]
		if !known {
			since = now
			m.dead[id] = now
		}
		if now.Sub(since) < m.opts.Keep || now.Sub(info.Modified) < m.opts.Grace {
			s.Waiting++
			continue
		}
		if err := m.opts.Step(StepDeleting); err != nil {
			return err
		}
		if err := m.opts.Store.Delete(ctx, info.Name); err != nil {
			return fmt.Errorf("delete segment %s: %w", info.Name, err)
		}
		delete(m.dead, id)
		s.Deleted++
		s.Segments--
		s.Bytes -= info.Size
	}
	for id := range m.dead { // those that are gone
		if _, there := all[id]; !there {
			delete(m.dead, id)
		}
	}
	return nil
}
