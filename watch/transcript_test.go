package watch_test

import (
	"fmt"
	"maps"
	"strings"

	"keywatch/kv"
	"keywatch/watch"
)

// A step is one message as a client saw it, or, with kind 0, the moment at
// which it connected.
type step struct {
	kind    watch.Kind
	key     string
	value   string
	rev     kv.Rev
	version uint64
	at      kv.Rev // 0 if the message has no position
	hasAt   bool
}

func stepOf(m *watch.Message) step {
	s := step{kind: m.Kind, key: m.Key, at: m.At.Rev, hasAt: m.HasAt}
	if m.Entry != nil {
		s.value, s.rev, s.version = m.Entry.Value(), m.Entry.Mod, m.Entry.Version
	}
	return s
}

// The rules that a transcript can break.
const (
	ordered    = "ordered"    // by revision
	unique     = "unique"     // nothing twice
	atomic     = "atomic"     // positions at the end of revisions only
	reliable   = "reliable"   // no gap
	filtered   = "filtered"   // nothing that was not asked for
	bookmarked = "bookmarked" // positions where they belong
	consistent = "consistent" // versions and values are those of history
	converged  = "converged"  // the state is right whenever it is said to be
)

// A violation names the rule that a transcript breaks and where.
type violation struct {
	rule string
	i    int
	step step
	what string
}

func (v *violation) Error() string {
	return fmt.Sprintf("step %d %+v is not %s: %s", v.i, v.step, v.rule, v.what)
}

type held struct {
	rev     kv.Rev
	version uint64
	value   string
}

// A checker follows a transcript along the true history.
type checker struct {
	keys, prefixes []string
	// events are those of history that the client asked for, done how many of
	// them it has, by what it was told.
	events []kv.Event
	done   int

	have, before map[string]held
	section      watch.Kind // Reset or Resync while inside, else 0
	pos          kv.Rev
	last         kv.Rev
	known        bool // a state was completed
	seen         map[string]bool
}

func newChecker(history []kv.Event, r watch.Request) *checker {
	c := &checker{keys: r.Keys, prefixes: r.Prefixes, have: map[string]held{}, seen: map[string]bool{}}
	for _, e := range history {
		if c.wants(e.Key) {
			c.events = append(c.events, e)
		}
	}
	return c
}

func (c *checker) wants(key string) bool {
	for _, k := range c.keys {
		if k == key {
			return true
		}
	}
	for _, p := range c.prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// check returns the first rule that steps break, or nil.
func (c *checker) check(steps []step) *violation {
	for i, s := range steps {
		if rule, what := c.follow(s); rule != "" {
			return &violation{rule, i, s, what}
		}
	}
	return nil
}

func (c *checker) follow(s step) (rule, what string) {
	switch s.kind {
	case 0:
		return c.connect()
	case watch.Reset:
		c.section = watch.Reset
		clear(c.have)
		clear(c.seen)
		c.pos = 0
		if !s.hasAt || s.at != 0 {
			return bookmarked, "a reset starts over"
		}
	case watch.Resync:
		c.section, c.before = watch.Resync, maps.Clone(c.have)
		if s.hasAt {
			return bookmarked, "a resync has no position"
		}
	case watch.Synced:
		return c.synced(s)
	case watch.Progress:
		if c.section != 0 || !s.hasAt || s.at < c.pos {
			return bookmarked, "progress goes backwards"
		}
		return c.reach(s.at)
	case watch.Put, watch.Delete:
		if !c.wants(s.key) {
			return filtered, "the key was not asked for"
		}
		if c.section != 0 {
			return c.listed(s)
		}
		return c.changed(s)
	}
	return "", ""
}

// connect begins a new stream, from the last position.
func (c *checker) connect() (rule, what string) {
	if c.section == watch.Resync {
		c.have = c.before
	}
	if c.section != watch.Reset && c.done > 0 && c.done < len(c.events) && c.events[c.done-1].Entry.Mod > c.pos {
		return bookmarked, "a stream was left within a revision"
	}
	c.section, c.last = 0, c.pos
	clear(c.seen)
	return "", ""
}

// synced ends a section.
func (c *checker) synced(s step) (rule, what string) {
	if !s.hasAt || s.at < c.pos {
		return bookmarked, "synced goes backwards"
	}
	if c.section == 0 {
		return c.reach(s.at)
	}
	c.section, c.known, c.pos, c.last = 0, true, s.at, s.at
	for c.done = 0; c.done < len(c.events) && c.events[c.done].Entry.Mod <= s.at; c.done++ {
	}
	return c.compare()
}

// reach takes the client to pos, if it got everything up to there.
func (c *checker) reach(pos kv.Rev) (rule, what string) {
	if c.done < len(c.events) && c.events[c.done].Entry.Mod <= pos {
		return reliable, fmt.Sprintf("revision %d was left out", c.events[c.done].Entry.Mod)
	}
	c.pos, c.last = pos, pos
	return c.compare()
}

// compare compares what the client holds with the true state at its position.
func (c *checker) compare() (rule, what string) {
	if !c.known {
		return "", ""
	}
	want := map[string]held{}
	for _, e := range c.events[:c.done] {
		if e.Entry.Deleted() {
			delete(want, e.Key)
		} else {
			want[e.Key] = held{e.Entry.Mod, e.Entry.Version, e.Entry.Value()}
		}
	}
	if !maps.Equal(c.have, want) {
		return converged, fmt.Sprintf("the client holds %v, want %v", c.have, want)
	}
	return "", ""
}

// listed takes a change in a state or resync.
func (c *checker) listed(s step) (rule, what string) {
	if s.hasAt {
		return bookmarked, "a position within a section"
	}
	if id := fmt.Sprint(s.key, s.rev); c.seen[id] {
		return unique, "told twice"
	} else {
		c.seen[id] = true
	}
	c.hold(s)
	return "", ""
}

func (c *checker) hold(s step) {
	if s.kind == watch.Delete {
		delete(c.have, s.key)
	} else {
		c.have[s.key] = held{s.rev, s.version, s.value}
	}
}

// changed takes a change in order.
func (c *checker) changed(s step) (rule, what string) {
	if id := fmt.Sprint(s.key, s.rev); c.seen[id] {
		return unique, "told twice"
	} else {
		c.seen[id] = true
	}
	if s.rev < c.last || s.rev <= c.pos {
		return ordered, fmt.Sprintf("it comes after revision %d", c.last)
	}
	c.last = s.rev
	if c.done == len(c.events) {
		return consistent, "it never happened"
	}
	e := c.events[c.done]
	if e.Entry.Mod != s.rev || e.Key != s.key {
		return reliable, fmt.Sprintf("%s at %d comes first", e.Key, e.Entry.Mod)
	}
	if e.Entry.Version != s.version || e.Entry.Value() != s.value || e.Entry.Deleted() != (s.kind == watch.Delete) {
		return consistent, "history has another version"
	}
	c.done++
	c.hold(s)
	end := c.done == len(c.events) || c.events[c.done].Entry.Mod != s.rev
	if s.hasAt && !end {
		return atomic, "a position within a revision"
	}
	if !s.hasAt && end || s.hasAt && s.at != s.rev {
		return bookmarked, "the end of a revision without its position"
	}
	if end {
		c.pos = s.rev
	}
	return "", ""
}
