package watchtest

import (
	"slices"
	"strings"

	"keywatch/kv"
)

// A History is all changes that ever happened, in order.
type History struct {
	changes []Change
	at      map[keyRev]int
}

type keyRev struct {
	key string
	rev kv.Rev
}

// NewHistory returns a history of changes, which may come in any order, but for
// those of one revision.
func NewHistory(changes []Change) *History {
	h := &History{changes: slices.Clone(changes), at: map[keyRev]int{}}
	slices.SortStableFunc(h.changes, func(a, b Change) int { return int(int64(a.Rev) - int64(b.Rev)) })
	for i, c := range h.changes {
		h.at[keyRev{c.Key, c.Rev}] = i
	}
	return h
}

// HistoryOf returns the history that events make.
func HistoryOf(events []kv.Event) *History {
	changes := make([]Change, len(events))
	for i := range events {
		changes[i] = changeOf(events[i].Key, events[i].Entry)
	}
	return NewHistory(changes)
}

// matching returns the changes that r asks for.
func (h *History) matching(r Record) []Change {
	var list []Change
	for _, c := range h.changes {
		if r.wants(c.Key) {
			list = append(list, c)
		}
	}
	return list
}

// after returns the number of the first of changes whose revision is above rev.
func after(changes []Change, rev kv.Rev) int {
	i, _ := slices.BinarySearchFunc(changes, rev, func(c Change, rev kv.Rev) int {
		if c.Rev <= rev {
			return -1
		}
		return 1
	})
	return i
}

// A Record is what one client asked for and was told.
type Record struct {
	Keys, Prefixes []string
	Steps          []Step
	// Latest says that the client asked for the newest version of each key only:
	// rules about every change do not hold.
	Latest bool
	// NoValues says that the client asked for no values.
	NoValues bool
	// Ample says that history was never lost: then no stream may start over.
	Ample bool
}

func (r *Record) wants(key string) bool {
	return slices.Contains(r.Keys, key) ||
		slices.ContainsFunc(r.Prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}
