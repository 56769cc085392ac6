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
			f.names = append(f.names, strings.Clone(p))
		}
	}
	var own []string
	for _, k := range sorted(keys) {
		if !f.covers(k) {
			own = append(own, strings.Clone(k))
		}
	}
	return filter{names: slices.Clip(append(own, f.names...)), n: len(own)}
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

// state yields what n holds of the filter's keys.
func (f *filter) state(n *kv.Snapshot) iter.Seq2[string, *kv.Entry] {
	return func(yield func(string, *kv.Entry) bool) {
		for _, key := range f.keys() {
			if e := n.Get(key); e != nil && !yield(key, e) {
				return
			}
		}
		for _, prefix := range f.prefixes() {
			for key, e := range n.Scan(prefix, "") {
				if !yield(key, e) {
					return
				}
			}
		}
	}
}

// changes yields those of the filter's keys that changed or were deleted after
// revision since.
func (f *filter) changes(n *kv.Snapshot, since kv.Rev) iter.Seq2[string, *kv.Entry] {
	return func(yield func(string, *kv.Entry) bool) {
		for _, key := range f.keys() {
			if e := changed(n, key, since); e != nil && !yield(key, e) {
				return
			}
		}
		for _, prefix := range f.prefixes() {
			for key, e := range n.Changes(prefix, since) {
				if !yield(key, e) {
					return
				}
			}
		}
	}
}

// changed returns the entry or tombstone of one key if it is newer than since.
func changed(n *kv.Snapshot, key string, since kv.Rev) *kv.Entry {
	if e := n.Get(key); e != nil {
		if e.Mod > since {
			return e
		}
		return nil
	}
	for k, e := range n.Changes(key, since) {
		if k == key {
			return e
		}
		break
	}
	return nil
}
