package kv

import (
	"context"
	"fmt"
)

// LoadPinned fetches the values of cold versions that were replaced and that open
// snapshots still see. It is called before dead records of the checkpoint are dropped,
// after the last commit: what is replaced later dies only with the next. It fails as a
// ColdReader does; no record may be dropped then.
func (s *State) LoadPinned(ctx context.Context) error {
	kept := s.keptCold()
	if len(kept) == 0 {
		return nil
	}
	values := make(map[*Entry]string, len(kept))
	for _, k := range kept {
		if k.entry.referred() {
			continue // no record holds it; KeptSegments keeps its segment
		}
		value, err := s.flights.read(ctx, s.opts.Cold, k.entry.ref(k.slot.key()))
		if err != nil {
			return fmt.Errorf("fetch what snapshots see of %.80q: %w", k.slot.key(), err)
		}
		values[k.entry] = value
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loadKeptLocked(values)
	return nil
}

// keptCold returns the cold versions that are linked for snapshots only.
func (s *State) keptCold() (cold []keptVersion) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.mu.snaps.open {
		for _, k := range v.cold {
			if k.entry.cold { // or it was loaded
				cold = append(cold, k)
			}
		}
	}
	return cold
}

// loadKeptLocked puts versions with their values in the place of cold ones.
func (s *State) loadKeptLocked(values map[*Entry]string) {
	m := &s.mu.machine
	for _, v := range m.snaps.open {
		for i := range v.cold {
			k := &v.cold[i]
			value, ok := values[k.entry]
			if !ok {
				continue
			}
			grown := -k.size()
			k.load(value)
			grown += k.size()
			m.snaps.grow(v, grown)
		}
	}
	s.boundSnapshotsLocked()
	s.countMemoryLocked()
}

// load puts a copy of the version that has its value into its key's chain.
func (k *keptVersion) load(value string) {
	child := k.slot.cur.Load()
	for child.prev.Load() != k.entry {
		child = child.prev.Load()
	}
	hot := k.entry.with(value, k.entry.tier, false)
	child.prev.Store(hot)
	k.entry = hot
}
