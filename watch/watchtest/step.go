package watchtest

import (
	"fmt"

	"keywatch/kv"
	"keywatch/watch"
)

// Connect is the kind of the step that begins a connection. Its position is the
// one that the client asked to resume from, if it has one.
const Connect watch.Kind = 0

// A Change is one version of a key, or its deletion.
type Change struct {
	Key         string
	Value       string // of a deletion it is empty
	Rev, Create kv.Rev
	Version     uint64
	Deleted     bool
}

// A Step is one thing that a client was told, or that it connected.
type Step struct {
	Kind   watch.Kind
	Change // of a Put or Delete
	At     kv.Position
	HasAt  bool
}

// Connected returns the step that begins a connection that resumes from since,
// the text of a position; "" is from the start.
func Connected(since string) Step {
	at, err := kv.ParsePosition(since)
	return Step{Kind: Connect, At: at, HasAt: err == nil}
}

// StepOf returns what a message of a hub tells.
func StepOf(m *watch.Message) Step {
	s := Step{Kind: m.Kind, At: m.At, HasAt: m.HasAt}
	if m.Entry != nil {
		s.Change = changeOf(m.Key, m.Entry)
	}
	return s
}

func changeOf(key string, e *kv.Entry) Change {
	return Change{Key: key, Value: e.Value(), Rev: e.Mod, Create: e.Create, Version: e.Version, Deleted: e.Deleted()}
}

func (s Step) change() bool { return s.Kind == watch.Put || s.Kind == watch.Delete }

// String shows the step in a few words.
func (s Step) String() string {
	name := "connect"
	if s.Kind != Connect {
		name = s.Kind.String()
	}
	if s.change() {
		name += fmt.Sprintf(" %s rev=%d create=%d version=%d", s.Key, s.Rev, s.Create, s.Version)
	}
	if s.HasAt {
		name += " at " + s.At.String()
	}
	return name
}

// A place is where in a record a reader of its steps is.
type place struct {
	// section is Reset or Resync between those and Synced, else 0.
	section watch.Kind
	// from is what the connection resumed from, pos the newest position.
	from, pos kv.Position
}

// pass goes beyond s.
func (p *place) pass(s Step) {
	switch s.Kind {
	case Connect:
		*p = place{from: s.At, pos: s.At}
		return
	case watch.Reset, watch.Resync:
		p.section = s.Kind
	case watch.Synced:
		p.section = 0
	}
	if s.HasAt {
		p.pos = s.At
	}
}

// live reports whether s is a change outside of a state or resync.
func (p *place) live(s Step) bool { return s.change() && p.section == 0 }
