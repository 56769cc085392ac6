package app

import (
	"context"
	"iter"

	"keywatch/kv"
)

// A Snapshot is the state at one revision. It costs memory for what was changed since, and must
// be closed. It is safe for concurrent use, except for Close.
type Snapshot struct{ snap *kv.Snapshot }

// Snapshot opens a snapshot that shows every write acknowledged before the call. It fails as
// kv.Store.Snapshot does.
func (e *Engine) Snapshot(ctx context.Context) (*Snapshot, error) {
	snap, err := e.store.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return &Snapshot{snap}, nil
}

// Position returns the position of the snapshot, from which a watch can continue.
func (s *Snapshot) Position() kv.Position { return s.snap.Position() }

// Get returns the version of key at the snapshot's revision, nil if it is absent. It fails as
// kv.Snapshot.Resolve does, and with kv.ErrSnapshotLost if the snapshot was ended to save memory.
func (s *Snapshot) Get(ctx context.Context, key string) (*kv.Entry, error) {
	return readSnapshot(ctx, s.snap, key)
}

func readSnapshot(ctx context.Context, snap *kv.Snapshot, key string) (*kv.Entry, error) {
	entry := snap.Get(key)
	if err := snap.Err(); err != nil || entry == nil || entry.Deleted() {
		return nil, err
	}
	return snap.Resolve(ctx, key, entry)
}

// List ranges over the keys that begin with prefix, in order. A failure comes as the last
// element, with an empty key.
func (s *Snapshot) List(ctx context.Context, prefix string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for key, entry := range s.snap.Scan(prefix, "") {
			if s.snap.Err() != nil {
				break
			}
			entry, err := s.snap.Resolve(ctx, key, entry)
			if err != nil {
				yield(Item{}, err)
				return
			}
			if !yield(Item{key, entry}, nil) {
				return
			}
		}
		if err := s.snap.Err(); err != nil {
			yield(Item{}, err)
		}
	}
}

// Close lets go of what the snapshot keeps.
func (s *Snapshot) Close() { s.snap.Close() }
