package object

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"keywatch/kv"
	"keywatch/kv/progress"
)

// A Sweep is what a sweep found and did.
type Sweep struct {
	// Segments counts those of this store, of whatever epoch, Bytes what they take.
	Segments int
	Bytes    int64
	// Deleted counts those that were deleted, Waiting those that nothing refers to
	// and that are kept for a while, Missing those that keys refer to and that the
	// store does not have.
	Deleted, Waiting, Missing int
}

// Tidy rewrites the segments of which less than half is alive, or that belong to an
// earlier epoch or another store, and deletes those of this store, of whatever
// epoch, that nothing has referred to for long enough: no key, and no version that
// an open snapshot sees. Since when is remembered by this process only, so a restart
// starts again. It fails as Move does; what can be done is done.
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
	if err := m.home.Check(ctx); err != nil {
		return s, err // nothing is missing that is elsewhere
	}
	task := m.opts.Progress.Begin("tidy", "segments")
	defer task.End()
	all, err := m.inventory(ctx)
	if err != nil {
		return s, err
	}
	task.Expect(int64(len(all)))
	for _, info := range all {
		s.Segments++
		s.Bytes += info.Size
	}
	lost := m.rewrite(ctx, all, &s)
	if lost != nil && !errors.Is(lost, kv.ErrDamaged) {
		return s, lost
	}
	return s, errors.Join(m.deleteDead(ctx, all, task, &s), lost)
}

// rewrite moves what is alive in segments that are due, and what memory still has of
// those that are missing.
func (m *Mover) rewrite(ctx context.Context, all map[ID]Info, s *Sweep) error {
	due, missing := make(map[kv.SegmentID]bool), make(map[kv.SegmentID]bool)
	epoch := m.opts.State().Position().Epoch
	for id, l := range m.opts.State().Segments() {
		info, there := all[segmentOf(id)]
		own := id.Store == uint64(m.opts.ID)
		switch {
		case !there && (own || m.opts.Sole):
			missing[id] = true
			s.Missing++
		case !own, id.Epoch != epoch, aliveSize(l)*2 < info.Size:
			due[id] = true
		}
	}
	if len(due)+len(missing) == 0 {
		return nil
	}
	_, err := m.move(ctx, 0, func(r kv.Resident) bool {
		id, ok := r.Segment()
		return ok && (due[id] || missing[id] && r.InMemory())
	})
	if err != nil {
		return fmt.Errorf("rewrite segments: %w", err)
	}
	return m.opts.Step(StepRewritten)
}

// aliveSize returns how long a segment would be that holds only what is alive.
func aliveSize(l kv.Live) int64 { return l.Bytes + l.Values*Overhead + headSize + trailerSize }

// segmentOf turns the state's name of a segment into the store's.
func segmentOf(id kv.SegmentID) ID { return ID{StoreID(id.Store), id.Epoch, id.Seq} }

// inventory lists the segments that may be deleted once nothing refers to them.
func (m *Mover) inventory(ctx context.Context) (map[ID]Info, error) {
	prefix := m.opts.ID.String() + "/"
	if m.opts.Sole {
		prefix = ""
	}
	all := make(map[ID]Info)
	for info, err := range m.opts.Store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list segments: %w", err)
		}
		if id, ok := ParseName(info.Name); ok {
			all[id] = info
		} else if strings.Contains(info.Name, probeName) && time.Since(info.Modified) >= m.opts.Grace {
			_ = m.opts.Store.Delete(ctx, info.Name) // a crash left it; the next time tries again
		}
	}
	return all, nil
}

// deleteDead deletes what nothing has referred to for long enough. The token is
// held, so nothing is between upload and reference, unless its outcome is unknown:
// Grace is for that.
func (m *Mover) deleteDead(ctx context.Context, all map[ID]Info, task *progress.Task, s *Sweep) error {
	live, kept := m.opts.State().Segments(), m.opts.State().KeptSegments()
	for id, info := range all {
		task.Add(1)
		if m.inUse(id, live, kept) {
			delete(m.dead, id)
			continue
		}
		due, err := m.bury(id, info)
		if err == nil && due {
			err = m.deleteOne(ctx, info)
		}
		if err != nil {
			return err
		}
		if !due {
			s.Waiting++
			continue
		}
		delete(m.dead, id)
		s.Deleted++
		s.Segments--
		s.Bytes -= info.Size
		if err := m.opts.Step(StepDeleted); err != nil {
			return err
		}
	}
	for id := range m.dead { // those that are gone
		if _, there := all[id]; !there {
			delete(m.dead, id)
		}
	}
	return nil
}

// bury notes that nothing refers to a segment, and reports whether that has been so
// for long enough.
func (m *Mover) bury(id ID, info Info) (due bool, err error) {
	now := time.Now()
	since, known := m.dead[id]
	if !known {
		since = now
		m.dead[id] = now
		err = m.opts.Step(StepDead)
	}
	return now.Sub(since) >= m.opts.Keep && now.Sub(info.Modified) >= m.opts.Grace, err
}

// deleteOne deletes a segment, if this process is the one that may. The segment was
// listed before that is asked: another one's that it could be was not there then.
func (m *Mover) deleteOne(ctx context.Context, info Info) error {
	if err := m.own(ctx); err != nil {
		return err
	}
	if err := m.opts.Step(StepDeleting); err != nil {
		return err
	}
	if err := m.opts.Store.Delete(ctx, info.Name); err != nil {
		return fmt.Errorf("delete segment %s: %w", info.Name, err)
	}
	return nil
}
