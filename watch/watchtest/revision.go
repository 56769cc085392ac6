package watchtest

import (
	"fmt"

	"keywatch/kv"
	"keywatch/watch"
)

// sizesOf returns how many changes each revision has for r.
func sizesOf(r *Record, h *History) map[kv.Rev]int {
	sizes := map[kv.Rev]int{}
	for _, c := range h.matching(*r) {
		sizes[c.Rev]++
	}
	return sizes
}

// An atomicJudge counts the live changes of the revision that is coming.
type atomicJudge struct {
	place
	sizes map[kv.Rev]int
	rev   kv.Rev
	n     int
}

func (j *atomicJudge) step(s Step) string {
	defer j.pass(s)
	if !j.live(s) {
		if j.n > 0 && j.n < j.sizes[j.rev] && s.Kind != watch.Bye {
			return fmt.Sprintf("%d of %d changes of revision %d came", j.n, j.sizes[j.rev], j.rev)
		}
		j.n = 0
		return ""
	}
	if s.Rev != j.rev || j.n == 0 {
		if j.n > 0 && j.n < j.sizes[j.rev] {
			return fmt.Sprintf("it splits revision %d", j.rev)
		}
		j.rev, j.n = s.Rev, 0
	}
	if j.n++; s.HasAt && j.n < j.sizes[s.Rev] {
		return fmt.Sprintf("a position after %d of %d changes", j.n, j.sizes[s.Rev])
	}
	return ""
}

// A bookmarkedJudge looks at positions.
type bookmarkedJudge struct {
	place
	// open is the revision whose position is to come.
	open kv.Rev
}

func (j *bookmarkedJudge) step(s Step) string {
	defer j.pass(s)
	if open := j.open; open != 0 && !(s.change() && s.Rev == open) && s.Kind != watch.Bye {
		return fmt.Sprintf("revision %d ended without its position", open)
	}
	switch s.Kind {
	case Connect, watch.Bye, watch.Denied:
		return ""
	case watch.Reset:
		if !s.HasAt || s.At.Rev != 0 {
			return "a reset has the position that starts over"
		}
		return ""
	case watch.Resync:
		if s.HasAt {
			return "a resync has no position"
		}
		return ""
	case watch.Put, watch.Delete:
		return j.changed(s)
	}
	if !s.HasAt {
		return "it has a position"
	}
	if j.section != 0 && s.Kind == watch.Progress {
		return "progress in a state or resync"
	}
	return j.back(s)
}

// back reports a position that is before the last one.
func (j *bookmarkedJudge) back(s Step) string {
	if s.At.Epoch == j.pos.Epoch && s.At.Rev < j.pos.Rev {
		return fmt.Sprintf("%v was known already", j.pos)
	}
	return ""
}

func (j *bookmarkedJudge) changed(s Step) string {
	if j.section != 0 {
		if s.HasAt {
			return "a position in a state or resync"
		}
		return ""
	}
	if s.Rev <= j.pos.Rev {
		return fmt.Sprintf("%v has covered it", j.pos)
	}
	if j.open = s.Rev; !s.HasAt {
		return ""
	}
	if j.open = 0; s.At.Rev != s.Rev {
		return "the position is of another revision"
	}
	return j.back(s)
}
