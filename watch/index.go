package watch

import (
	"slices"
	"strings"
)

// maxLengths bounds the prefix lengths that have a table of their own, and so
// the look-ups an event costs.
const maxLengths = 32

// An index finds the watchers of a key. It belongs to whoever holds the hub's
// lock. The zero value is not ready: see newIndex.
type index struct {
	keys map[string][]*Watcher
	// tables are ordered by length. The table of length n holds the prefixes of
	// that length, and longer ones that got no table, under their first n bytes.
	tables []prefixTable
}

type prefixTable struct {
	length  int
	buckets map[string][]prefixWatch
}

type prefixWatch struct {
	prefix  string
	watcher *Watcher
}

func newIndex() index { return index{keys: make(map[string][]*Watcher)} }

// add enters w under every name in its filter.
func (x *index) add(w *Watcher) {
	for _, key := range w.filter.keys() {
		x.keys[key] = append(x.keys[key], w)
	}
	for _, prefix := range w.filter.prefixes() {
		t := x.tableFor(len(prefix))
		bucket := prefix[:t.length]
		t.buckets[bucket] = append(t.buckets[bucket], prefixWatch{prefix, w})
	}
}

// tableFor returns the table for a prefix of n bytes. One place is kept for
// length 0, where a prefix of any length can go.
func (x *index) tableFor(n int) *prefixTable {
	i, found := slices.BinarySearchFunc(x.tables, n, func(t prefixTable, n int) int { return t.length - n })
	if found {
		return &x.tables[i]
	}
	if len(x.tables) >= maxLengths-1 && n > 0 {
		if i > 0 {
			return &x.tables[i-1]
		}
		n = 0
	}
	x.tables = slices.Insert(x.tables, i, prefixTable{n, make(map[string][]prefixWatch)})
	return &x.tables[i]
}

// remove takes w out again.
func (x *index) remove(w *Watcher) {
	for _, key := range w.filter.keys() {
		if rest := without(x.keys[key], w); len(rest) > 0 {
			x.keys[key] = rest
		} else {
			delete(x.keys, key)
		}
	}
	for _, prefix := range w.filter.prefixes() {
		x.removePrefix(prefixWatch{prefix, w})
	}
	x.tables = slices.DeleteFunc(x.tables, func(t prefixTable) bool { return len(t.buckets) == 0 })
}

func (x *index) removePrefix(p prefixWatch) {
	for _, t := range x.tables {
		if t.length > len(p.prefix) {
			return
		}
		bucket := p.prefix[:t.length]
		held := t.buckets[bucket]
		rest := without(held, p)
		if len(rest) == len(held) {
			continue
		}
		if len(rest) > 0 {
			t.buckets[bucket] = rest
		} else {
			delete(t.buckets, bucket)
		}
		return
	}
}

// without returns list without one occurrence of x, in another order.
func without[T comparable](list []T, x T) []T {
	i := slices.Index(list, x)
	if i < 0 {
		return list
	}
	last := len(list) - 1
	list[i] = list[last]
	var zero T
	list[last] = zero
	return list[:last]
}

// match calls visit once for each watcher of key.
func (x *index) match(key string, visit func(*Watcher)) {
	for _, w := range x.keys[key] {
		visit(w)
	}
	for i := range x.tables {
		t := &x.tables[i]
		if t.length > len(key) {
			return
		}
		for _, p := range t.buckets[key[:t.length]] {
			if len(p.prefix) == t.length || strings.HasPrefix(key, p.prefix) {
				visit(p.watcher)
			}
		}
	}
}
