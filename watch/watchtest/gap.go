package watchtest

import (
	"fmt"

	"keywatch/kv"
	"keywatch/watch"
)

// A resumableJudge looks at how each connection begins.
type resumableJudge struct {
	place
	events []Change
	ample  bool
	// seam is true until a change or position shows where the stream went on.
	seam bool
}

func (j *resumableJudge) step(s Step) string {
	defer j.pass(s)
	switch {
	case s.Kind == Connect:
		j.seam = true
		return ""
	case !j.seam || s.Kind == watch.Bye || s.Kind == watch.Denied:
		return ""
	}
	j.seam = false
	if s.Kind == watch.Reset || s.Kind == watch.Resync {
		return j.starts(s)
	}
	if j.from.Rev == 0 {
		if s.Kind != watch.Synced {
			return "it goes on, but there is nothing to go on from"
		}
		return ""
	}
	return j.goesOn(s)
}

// starts judges a stream that says that it cannot simply go on.
func (j *resumableJudge) starts(s Step) string {
	if j.ample && j.from.Rev > 0 && (s.Kind == watch.Resync || s.At.Epoch == j.from.Epoch) {
		return "it starts over, but nothing was lost"
	}
	if j.from.Rev == 0 && s.Kind == watch.Resync {
		return "a resync from nothing"
	}
	return ""
}

// goesOn judges the first change or position after j.from.
func (j *resumableJudge) goesOn(s Step) string {
	rev := s.At.Rev
	if s.change() {
		rev = s.Rev
	}
	if s.HasAt && s.At.Epoch != j.from.Epoch {
		return "it goes on in another epoch"
	}
	i := after(j.events, j.from.Rev)
	switch {
	case rev < j.from.Rev || s.change() && rev == j.from.Rev:
		return fmt.Sprintf("it goes back before %v", j.from)
	case i < len(j.events) && j.events[i].Rev < rev,
		i < len(j.events) && !s.change() && j.events[i].Rev <= rev:
		return fmt.Sprintf("%v is followed by revision %d", j.from, j.events[i].Rev)
	}
	return ""
}

// unknown stands where a client does not know yet where in history it is.
const unknown = -1

// A reliableJudge counts along history.
type reliableJudge struct {
	place
	events []Change
	next   int // the change that must come next
}

func (j *reliableJudge) step(s Step) string {
	defer j.pass(s)
	switch s.Kind {
	case Connect:
		if j.next = unknown; s.At.Rev > 0 {
			j.next = after(j.events, s.At.Rev)
		}
	case watch.Reset, watch.Resync:
		j.next = unknown
	case watch.Synced, watch.Progress:
		return j.reach(s.At.Rev)
	case watch.Put, watch.Delete:
		if j.section == 0 {
			return j.changed(s)
		}
	}
	return ""
}

// reach goes to a position.
func (j *reliableJudge) reach(rev kv.Rev) string {
	if j.next != unknown && j.next < len(j.events) && j.events[j.next].Rev <= rev {
		return fmt.Sprintf("%s at %d was left out", j.events[j.next].Key, j.events[j.next].Rev)
	}
	j.next = after(j.events, rev)
	return ""
}

func (j *reliableJudge) changed(s Step) string {
	if j.next == unknown || j.next == len(j.events) {
		return "" // not this rule's
	}
	if e := j.events[j.next]; e.Rev < s.Rev || e.Rev == s.Rev && e.Key != s.Key {
		return fmt.Sprintf("%s at %d comes first", e.Key, e.Rev)
	}
	if j.events[j.next].Rev == s.Rev {
		j.next++
	}
	return ""
}
