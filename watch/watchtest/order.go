package watchtest

import (
	"fmt"
	"maps"

	"keywatch/kv"
	"keywatch/watch"
)

type filteredJudge struct{ r *Record }

func (j *filteredJudge) step(s Step) string {
	if s.change() && !j.r.wants(s.Key) {
		return "the key was not asked for"
	}
	return ""
}

// revs is the newest revision of each key.
type revs map[string]kv.Rev

// An orderedJudge compares with the last change on the connection; where only
// the newest versions come, with that of the same key.
type orderedJudge struct {
	place
	latest bool
	last   kv.Rev
	keys   revs
	before revs // what keys were when the resync began
}

func (j *orderedJudge) step(s Step) string {
	defer j.pass(s)
	switch {
	case s.Kind == Connect:
		if j.last = s.At.Rev; j.section == watch.Resync {
			j.keys = j.before // a resync that was cut off is forgotten
		}
	case s.Kind == watch.Reset:
		clear(j.keys)
		j.last = 0
	case s.Kind == watch.Resync:
		j.before = maps.Clone(j.keys)
	case s.Kind == watch.Synced && j.section != 0:
		j.last = 0
	case s.change():
		return j.changed(s)
	}
	return ""
}

func (j *orderedJudge) changed(s Step) string {
	was := j.last
	if j.latest {
		was = j.keys[s.Key]
	}
	if (j.latest || j.live(s)) && s.Rev < was {
		return fmt.Sprintf("it comes after revision %d", was)
	}
	if j.keys[s.Key] = s.Rev; j.live(s) {
		j.last = s.Rev
	}
	return ""
}

// seen holds what came.
type seen map[keyRev]bool

// A uniqueJudge knows all live changes since the last reset, over all
// connections, and those of the section it is in.
type uniqueJudge struct {
	place
	seen, section seen
}

func (j *uniqueJudge) step(s Step) string {
	defer j.pass(s)
	switch {
	case s.Kind == watch.Reset:
		clear(j.seen)
		clear(j.section)
	case s.Kind == watch.Resync:
		clear(j.section)
	case s.change():
		set := j.section
		if j.live(s) {
			set = j.seen
		}
		id := keyRev{s.Key, s.Rev}
		if set[id] {
			return "it came before"
		}
		set[id] = true
	}
	return ""
}
