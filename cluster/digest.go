package cluster

import "slices"

const (
	// digestEvery is at which entries a server keeps the digest of its state, and digestsKept how many of
	// those: the newest.
	digestEvery, digestsKept = 256, 64
)

// A digest is that of the state after an entry.
type digest struct {
	Index uint64 `json:"index"`
	Sum   uint64 `json:"sum"`
}

// digests are the newest of one server, the oldest first.
type digests []digest

// note keeps the digest of the state after an entry, if that is one of those.
func (d *digests) note(index uint64, sum func() uint64) {
	if index%digestEvery != 0 {
		return
	}
	if len(*d) == digestsKept {
		*d = slices.Delete(*d, 0, 1)
	}
	*d = append(*d, digest{index, sum()})
}

// at returns the digest after an entry; ok is false if it is not kept.
func (d digests) at(index uint64) (sum uint64, ok bool) {
	i, ok := slices.BinarySearchFunc(d, index, func(x digest, index uint64) int { return int(int64(x.Index) - int64(index)) })
	if !ok {
		return 0, false
	}
	return d[i].Sum, true
}

// digests returns those that others are told: the newest that is kept, which others have when they are as
// far, and that of now, which they have while nothing is written.
func (n *Node) digests() (list []digest) {
	l := &n.loop
	if l.install != nil || l.applied.Index == 0 {
		return nil
	}
	if kept := l.digests; len(kept) > 0 {
		list = append(list, kept[len(kept)-1])
	}
	return append(list, digest{l.applied.Index, n.state().Digest()})
}

// digestAt returns the digest of this server's state after an entry; ok is false if it is not known any more, or
// not yet.
func (n *Node) digestAt(index uint64) (sum uint64, ok bool) {
	if l := &n.loop; index == l.applied.Index && l.install == nil {
		return n.state().Digest(), true
	}
	return n.loop.digests.at(index)
}

// compare compares what another server says of its state with that of this one, which leads. Servers that have
// applied the same entries must have the same: one of the two has applied something else, or lost
// something.
func (n *Node) compare(m Member, theirs []digest) {
	l := &n.loop
	for _, d := range theirs {
		own, ok := n.digestAt(d.Index)
		switch _, differs := l.differ[uint64(m.ID)]; {
		case !ok:
		case own == d.Sum:
			delete(l.differ, uint64(m.ID))
		case !differs:
			if l.differ == nil {
				l.differ = make(map[uint64]uint64)
			}
			l.differ[uint64(m.ID)] = d.Index
			n.opts.Logger.Error("a member has another state than the leader after the same log entry: compare their keys, and replace the one that is wrong",
				"name", m.Name, "id", m.ID, "index", d.Index, "position", n.state().Position())
		}
	}
}
