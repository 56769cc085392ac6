package watchtest

import (
	"fmt"
	"maps"

	"keywatch/kv"
	"keywatch/watch"
)

// A consistentJudge looks each change up in history.
type consistentJudge struct {
	h        *History
	noValues bool
}

func (j *consistentJudge) step(s Step) string {
	if !s.change() {
		return ""
	}
	i, ok := j.h.at[keyRev{s.Key, s.Rev}]
	if !ok {
		return "it never happened"
	}
	want, got := j.h.changes[i], s.Change
	if got.Deleted = s.Kind == watch.Delete; j.noValues {
		want.Value, got.Value = "", ""
	}
	if got != want {
		return fmt.Sprintf("history has %+.200v", want)
	}
	return ""
}

// A convergedJudge does what it is told and compares what it holds with what
// the store held.
type convergedJudge struct {
	place
	events   []Change
	latest   bool
	noValues bool
	// truth is the state after the first done of events.
	truth map[string]Change
	done  int
	// held is what the client has, before what it had when the resync began;
	// known says that it was ever told all.
	held, before map[string]Change
	known        bool
	touched      []string // keys of the revision that is coming
}

func newConvergedJudge(r *Record, h *History) *convergedJudge {
	return &convergedJudge{events: h.matching(*r), latest: r.Latest, noValues: r.NoValues,
		truth: map[string]Change{}, held: map[string]Change{}}
}

func (j *convergedJudge) step(s Step) string {
	defer j.pass(s)
	switch s.Kind {
	case Connect:
		if j.section == watch.Resync {
			j.held = j.before
		}
		j.touched = j.touched[:0]
	case watch.Reset:
		clear(j.held)
		j.known = false
	case watch.Resync:
		j.before = maps.Clone(j.held)
	case watch.Put, watch.Delete:
		j.hold(s)
		if s.HasAt {
			return j.compare(s.At.Rev, j.latest)
		}
	case watch.Synced:
		if j.section == watch.Reset {
			j.known = true
		}
		return j.compare(s.At.Rev, true)
	case watch.Progress:
		return j.compare(s.At.Rev, true)
	}
	return ""
}

func (j *convergedJudge) hold(s Step) {
	if j.touched = append(j.touched, s.Key); s.Kind == watch.Delete {
		delete(j.held, s.Key)
		return
	}
	c := s.Change
	if j.noValues {
		c.Value = ""
	}
	j.held[s.Key] = c
}

// advance moves truth to rev.
func (j *convergedJudge) advance(rev kv.Rev) {
	if j.done > 0 && j.events[j.done-1].Rev > rev {
		j.done = 0
		clear(j.truth)
	}
	for ; j.done < len(j.events) && j.events[j.done].Rev <= rev; j.done++ {
		c := j.events[j.done]
		if c.Deleted {
			delete(j.truth, c.Key)
			continue
		}
		if j.noValues {
			c.Value = ""
		}
		j.truth[c.Key] = c
	}
}

// compare compares the keys that were touched since the last time, or all.
func (j *convergedJudge) compare(rev kv.Rev, all bool) string {
	touched := j.touched
	if j.touched = j.touched[:0]; !j.known {
		return ""
	}
	j.advance(rev)
	for _, key := range touched {
		if got, want := j.held[key], j.truth[key]; got != want {
			return fmt.Sprintf("at %d %s is %+.200v, want %+.200v", rev, key, got, want)
		}
	}
	if all && !maps.Equal(j.held, j.truth) {
		return fmt.Sprintf("at %d %s", rev, difference(j.held, j.truth))
	}
	return ""
}

// difference names one key by which got and want differ.
func difference(got, want map[string]Change) string {
	for key, w := range want {
		if got[key] != w {
			return fmt.Sprintf("%s is %+.200v, want %+.200v", key, got[key], w)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			return key + " is held, but it is gone"
		}
	}
	return "nothing differs"
}
