package object

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"keywatch/kv"
)

// A Home is the object store that the values of a data folder are in. It tells that
// store from another one, such as the folder below a mount that did not come up: there
// nothing may be moved to, and what is not there is not lost.
//
// The store bears a mark of each data folder that keeps values in it, which is put before
// the first of them and says which format they have, and the folder remembers the store.
// A store that it does not remember, or that has no mark, as those of earlier releases, is
// the right one if it has a segment that the state refers to.
//
// A Home is safe for concurrent use.
type Home struct {
	Store Store
	ID    StoreID
	// Segments returns the segments that the state refers to.
	Segments func() map[kv.SegmentID]kv.Live
	// Known reports whether the data folder remembers this store as the one; nil is for
	// one that remembers none.
	Known func() bool
}

const (
	// homeLevel is the newest format of what a store keeps that this release knows.
	homeLevel = 1
	homeHead  = "keywatch object store\nlevel "
	// homeSize is the length of the beginning of a mark that is read.
	homeSize = len(homeHead) + 1
)

// mark returns name and content of the mark.
func (h *Home) mark() (name, text string) {
	return h.ID.String() + "/store", fmt.Sprintf("%s%d\nid %s\n", homeHead, homeLevel, h.ID)
}

// Check returns nil if the store is the right one, or nothing is kept anywhere. It
// fails with ErrElsewhere if it is another one, with ErrNewer if a later release has
// used it, or as GetRange does.
func (h *Home) Check(ctx context.Context) error {
	live := h.Segments()
	if len(live) == 0 {
		return nil
	}
	err := h.readMark(ctx)
	if err == nil && h.Known != nil && h.Known() || err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	found, err := h.holdsOne(ctx, live)
	if err != nil || found {
		return err
	}
	return ErrElsewhere
}

// Adopt is Check for who is about to write: it puts the mark if there is none.
func (h *Home) Adopt(ctx context.Context) error {
	if err := h.Check(ctx); err != nil {
		return err
	}
	if len(h.Segments()) == 0 {
		if err := Make(h.Store); err != nil {
			return err
		}
	}
	name, text := h.mark()
	err := h.Store.Put(ctx, name, []byte(text))
	if errors.Is(err, ErrExists) {
		return h.readMark(ctx)
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	return nil
}

// readMark returns nil if the mark is there and of a known format.
func (h *Home) readMark(ctx context.Context) error {
	name, _ := h.mark()
	b, err := h.Store.GetRange(ctx, name, 0, int64(homeSize))
	if err != nil && !isDamaged(err) {
		return err
	}
	level, ok := strings.CutPrefix(string(b), homeHead)
	if ok && level > fmt.Sprint(homeLevel) {
		return fmt.Errorf("%w: format %s, and this release knows %d", ErrNewer, level, homeLevel)
	}
	return nil // there is one, whatever became of it
}

// holdsOne reports whether the store has one of the segments.
func (h *Home) holdsOne(ctx context.Context, live map[kv.SegmentID]kv.Live) (bool, error) {
	listed := make(map[string]bool)
	for id := range live {
		prefix := Prefix(StoreID(id.Store), id.Epoch)
		if listed[prefix] {
			continue
		}
		listed[prefix] = true
		for info, err := range h.Store.List(ctx, prefix) {
			if err != nil {
				return false, fmt.Errorf("list segments: %w", err)
			}
			seg, ok := ParseName(info.Name)
			if _, is := live[kv.SegmentID{Store: uint64(seg.Store), Epoch: seg.Epoch, Seq: seg.Seq}]; ok && is {
				return true, nil
			}
		}
	}
	return false, nil
}

// Make creates the place where a store keeps its objects, if that is a folder. It is
// for who begins one: a folder that is not there may be one that is not mounted.
func Make(s Store) error {
	if d, ok := s.(*Dir); ok {
		return d.make()
	}
	return nil
}
