package watch

import (
	"hash/maphash"
	"slices"
	"strings"
)

// maxLengths bounds the prefix lengths that have a table of their own, and so
// the look-ups an event costs.
const maxLengths = 32

// indexParts is how many tables an index is split into, so that no one of them
// takes long to grow.
const indexParts = 256

// A link is one name of a watcher at its place in an index. There may be a
// million of them, each within its watcher, so that the index itself is little
// more than a pointer for each name.
type link struct {
	// name is a key or a prefix. Links of equal names share its bytes.
	name  string
	watch *Watcher
	// Links that are found under the same bytes are a list, through after: its
	// head is in a chain of its table. side is the next head of that chain for a
	// head, and the link before it for any other.
	side, after *link
	hash        uint32
	// cut is how many bytes a prefix is found under. The name may be longer.
	cut    uint16
	prefix bool
	head   bool
}

// found returns what the link is found under.
func (l *link) found() string {
	if l.prefix {
		return l.name[:l.cut]
	}
	return l.name
}

// covers reports whether the link, which was found under a part of key, matches
// all of it.
func (l *link) covers(key string) bool {
	return !l.prefix || len(l.name) == int(l.cut) || strings.HasPrefix(key, l.name)
}

// An index finds the watchers of a key. It belongs to the holder of the hub's
// lock. The zero value is not ready: see newIndex.
type index struct {
	seed  maphash.Seed
	parts [indexParts]table
	// lengths are the lengths under which prefixes are found, in order.
	lengths []prefixLength
}

// A prefixLength says how many prefixes are found under n bytes: those of that
// length, and longer ones that got no length of their own.
type prefixLength struct{ n, links int }

// A table holds the heads of some lists, chained where their hashes collide.
type table struct {
	chains []*link
	heads  int
}

func newIndex() *index { return &index{seed: maphash.MakeSeed()} }

// add enters a link, whose name, watch and prefix are set.
func (x *index) add(l *link) {
	if l.prefix {
		at := x.lengthFor(len(l.name))
		at.links++
		l.cut = uint16(at.n)
	}
	t, hash := x.table(l.found(), l.prefix)
	l.hash = hash
	if head := t.find(hash, l.found(), l.prefix); head != nil {
		head.join(l)
	} else {
		t.add(l)
	}
}

// lengthFor returns the length under which a prefix of n bytes is found. One
// place is kept for length 0, under which any prefix can be.
func (x *index) lengthFor(n int) *prefixLength {
	i, found := slices.BinarySearchFunc(x.lengths, n, func(l prefixLength, n int) int { return l.n - n })
	if found {
		return &x.lengths[i]
	}
	if len(x.lengths) >= maxLengths-1 && n > 0 {
		if i > 0 {
			return &x.lengths[i-1]
		}
		n = 0
	}
	x.lengths = slices.Insert(x.lengths, i, prefixLength{n: n})
	return &x.lengths[i]
}

// remove takes a link out again.
func (x *index) remove(l *link) {
	if l.prefix {
		i := slices.IndexFunc(x.lengths, func(p prefixLength) bool { return p.n == int(l.cut) })
		if x.lengths[i].links--; x.lengths[i].links == 0 {
			x.lengths = slices.Delete(x.lengths, i, i+1)
		}
	}
	if !l.head {
		l.leave()
		return
	}
	t, _ := x.table(l.found(), l.prefix)
	t.remove(l)
}

// table returns where a name is looked for, and its hash there.
func (x *index) table(name string, prefix bool) (*table, uint32) {
	h := maphash.String(x.seed, name)
	if prefix {
		h = ^h
	}
	return &x.parts[h>>56], uint32(h)
}

// match calls visit once for each watcher of key.
func (x *index) match(key string, visit func(*Watcher)) {
	x.visit(key, key, false, visit)
	for _, l := range x.lengths {
		if l.n > len(key) {
			return
		}
		x.visit(key[:l.n], key, true, visit)
	}
}

func (x *index) visit(name, key string, prefix bool, visit func(*Watcher)) {
	t, hash := x.table(name, prefix)
	for l := t.find(hash, name, prefix); l != nil; l = l.after {
		if l.covers(key) {
			visit(l.watch)
		}
	}
}

// each calls visit for every link.
func (x *index) each(visit func(*link)) {
	for i := range x.parts {
		for _, head := range x.parts[i].chains {
			for ; head != nil; head = head.side {
				for l := head; l != nil; l = l.after {
					visit(l)
				}
			}
		}
	}
}

// join puts l behind the head of its list.
func (head *link) join(l *link) {
	if l.name == head.name {
		l.name = head.name
	}
	l.side, l.after = head, head.after
	if l.after != nil {
		l.after.side = l
	}
	head.after = l
}

// leave takes l, which is not a head, out of its list.
func (l *link) leave() {
	l.side.after = l.after
	if l.after != nil {
		l.after.side = l.side
	}
	l.side, l.after = nil, nil
}

// find returns the head of a list, nil if there is no such list.
func (t *table) find(hash uint32, name string, prefix bool) *link {
	if t.heads == 0 {
		return nil
	}
	for l := *t.chain(hash); l != nil; l = l.side {
		if l.hash == hash && l.prefix == prefix && l.found() == name {
			return l
		}
	}
	return nil
}

// chain returns where the chain for a hash begins.
func (t *table) chain(hash uint32) **link { return &t.chains[int(hash)&(len(t.chains)-1)] }

// add makes l the head of a list.
func (t *table) add(l *link) {
	if t.heads == len(t.chains) {
		t.resize(max(8, 2*len(t.chains)))
	}
	t.heads++
	t.push(l)
}

func (t *table) push(l *link) {
	at := t.chain(l.hash)
	l.head, l.side = true, *at
	*at = l
}

// remove takes a head out, and makes the next of its list the head.
func (t *table) remove(l *link) {
	at := t.chain(l.hash)
	for *at != l {
		at = &(*at).side
	}
	if next := l.after; next != nil {
		next.head, next.side = true, l.side
		*at = next
	} else {
		*at = l.side
		t.heads--
	}
	l.head, l.side, l.after = false, nil, nil
	if len(t.chains) > 8 && t.heads < len(t.chains)/8 {
		t.resize(len(t.chains) / 2)
	}
}

// resize moves all heads to n chains, a power of two.
func (t *table) resize(n int) {
	old := t.chains
	t.chains = make([]*link, n)
	for _, l := range old {
		for l != nil {
			next := l.side
			t.push(l)
			l = next
		}
	}
}
