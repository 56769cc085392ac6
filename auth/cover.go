package auth

import (
	"slices"
	"sort"
	"strings"
)

// A cover is a set of keys: some by name and all that begin with one of some prefixes. No name in
// it is covered by another, and both lists are sorted. It is immutable. The zero cover is empty.
type cover struct {
	keys, prefixes []string
}

func newCover(keys, prefixes []string) (c cover) {
	for _, p := range sorted(prefixes) {
		if !c.begins(p) {
			c.prefixes = append(c.prefixes, p)
		}
	}
	for _, k := range sorted(keys) {
		if !c.begins(k) {
			c.keys = append(c.keys, k)
		}
	}
	return c
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// begins reports whether one of the prefixes begins name. Since none of them begins another,
// only the last one at or before name can.
func (c *cover) begins(name string) bool {
	i := sort.Search(len(c.prefixes), func(i int) bool { return c.prefixes[i] > name })
	return i > 0 && strings.HasPrefix(name, c.prefixes[i-1])
}

// has reports whether key is in the set.
func (c *cover) has(key string) bool {
	if c.begins(key) {
		return true
	}
	_, found := slices.BinarySearch(c.keys, key)
	return found
}

// hasAll reports whether every key that begins with prefix is in the set. Keys by name never make
// that so: one more byte is another key.
func (c *cover) hasAll(prefix string) bool { return c.begins(prefix) }
