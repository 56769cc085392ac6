package watch

import (
	"iter"
	"slices"
	"sort"
	"strings"

	"keywatch/kv"
)

// A filter selects keys. No name in it covers another, so that a key matches at
// most one of them; both lists are sorted. It is immutable.
type filter struct {
	// names are the keys, of which there are n, and then the prefixes.
	names []string
	n     int
}

func (f *filter) keys() []string     { return f.names[:f.n] }
func (f *filter) prefixes() []string { return f.names[f.n:] }

func newFilter(keys, prefixes []string) filter {
	var f filter
	for _, p := range sorted(prefixes) {
		if !f.covers(p) {
			f.names = append(f.names, p)
		}
	}
	var own []string
	for _, k := range sorted(keys) {
		if !f.covers(k) {
			own = append(own, k)
		}
	}
	return filter{names: slices.Clip(append(own, f.names...)), n: len(own)}
}

// clone returns f with names of its own.
func (f filter) clone() filter {
	f.names = slices.Clone(f.names)
	for i, name := range f.names {
		f.names[i] = strings.Clone(name)
	}
	return f
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// covers reports whether one of the prefixes begins name. Since none of them
// begins another, only the last one at or before name can.
func (f *filter) covers(name string) bool {
	prefixes := f.prefixes()
	i := sort.Search(len(prefixes), func(i int) bool { return prefixes[i] > name })
	return i > 0 && strings.HasPrefix(name, prefixes[i-1])
}

func (f *filter) match(key string) bool {
	if f.covers(key) {
		return true
	}
	_, found := slices.BinarySearch(f.keys(), key)
	return found || faultMatch()
}

// A place is that of a key in the order of filter.walk: by the name that selects it, of
// which it is the number, then by key.
type place struct {
	name int
	key  string
}

func (p place) before(q place) bool {
	return p.name < q.name || p.name == q.name && p.key < q.key
}

// walk yields the filter's keys that n knows, those that were deleted included.
func (f *filter) walk(n *kv.Snapshot) iter.Seq2[place, *kv.Entry] {
	return func(yield func(place, *kv.Entry) bool) {
		for i, key := range f.keys() {
			if e := newestIn(n, key); e != nil && !yield(place{i, key}, e) {
				return
			}
		}
		for i, prefix := range f.prefixes() {
			for key, e := range n.Changes(prefix, 0) {
				if !yield(place{f.n + i, key}, e) {
					return
				}
			}
		}
	}
}

// newestIn returns the entry or tombstone of one key.
func newestIn(n *kv.Snapshot, key string) *kv.Entry {
	if e := n.Get(key); e != nil {
		return e
	}
	for k, e := range n.Changes(key, 0) {
		if k == key {
			return e
		}
		break
	}
	return nil
}
