package e2e_test

import (
	"fmt"
	"keywatch/test/load"
	"strings"
)

// A fold is what a watcher holds that does with each event what the contract
// says, and checks that every event may come where it comes.
type fold struct {
	cells map[string]load.Entry
	// rev is the last revision that each key is known to have had.
	rev map[string]uint64
	// lastID is where to resume.
	lastID string

	phase string // reset, resync, or live; empty before the first event
	open  uint64 // revision whose last event is still to come; 0 is none
	done  uint64 // last whole revision on this connection

	resets, resyncs, resumes, byes int
}

func newFold() *fold { return &fold{cells: make(map[string]load.Entry), rev: make(map[string]uint64)} }

// connected begins a new connection.
func (f *fold) connected() { f.phase, f.open, f.done = "", 0, 0 }

// apply does what ev says. An error says what ev breaks.
func (f *fold) apply(ev load.Event) error {
	if err := f.check(ev); err != nil {
		return fmt.Errorf("%w: %+v, in phase %q after %s", err, ev, f.phase, f.lastID)
	}
	switch ev.Name {
	case "reset":
		clear(f.cells)
		clear(f.rev)
		f.phase = "reset"
		f.resets++
	case "resync":
		f.phase = "resync"
		f.resyncs++
	case "synced":
		f.phase = "live"
	case "bye":
		f.byes++
	case "put":
		f.cells[ev.Key], f.rev[ev.Key] = ev.Entry, ev.Rev
	case "delete":
		delete(f.cells, ev.Key)
		f.rev[ev.Key] = ev.Rev
	}
	if ev.ID != "" {
		f.lastID = ev.ID
	}
	return nil
}

func (f *fold) check(ev load.Event) error {
	if f.phase == "" {
		// A resumed stream may go on at once.
		f.phase = "live"
		if f.lastID != "" && ev.Name != "reset" {
			f.resumes++
		}
	}
	change := ev.Name == "put" || ev.Name == "delete"
	if f.open != 0 && (!change || ev.Rev != f.open) && ev.Name != "bye" {
		return fmt.Errorf("revision %d has no last event", f.open)
	}
	switch {
	case ev.Name == "reset" && !strings.HasSuffix(ev.ID, "-0"):
		return fmt.Errorf("a reset whose id does not start over")
	case (ev.Name == "synced" || ev.Name == "progress") && ev.ID == "":
		return fmt.Errorf("%s without an id", ev.Name)
	case (ev.Name == "resync" || ev.Name == "bye") && ev.ID != "":
		return fmt.Errorf("%s with an id", ev.Name)
	case change && f.phase != "live" && ev.ID != "":
		return fmt.Errorf("an id before synced")
	case change && f.phase == "live":
		return f.checkLive(ev)
	}
	return nil
}

// checkLive checks a change that is no part of a state: revisions ascend, and
// the versions of a key have no gap.
func (f *fold) checkLive(ev load.Event) error {
	if ev.Rev <= f.done {
		return fmt.Errorf("revision %d again, or out of order", ev.Rev)
	}
	f.open = ev.Rev
	if ev.ID != "" {
		if want := fmt.Sprintf("-%d", ev.Rev); !strings.HasSuffix(ev.ID, want) {
			return fmt.Errorf("an id that does not name the revision %d", ev.Rev)
		}
		f.open, f.done = 0, ev.Rev
	}
	if ev.Rev == f.rev[ev.Key] {
		return nil // of a revision that an earlier connection broke off
	}
	if ev.Rev < f.rev[ev.Key] {
		return fmt.Errorf("%s goes back from revision %d", ev.Key, f.rev[ev.Key])
	}
	was, present := f.cells[ev.Key]
	if ev.Name == "delete" && !present {
		return fmt.Errorf("%s was deleted but is not known", ev.Key)
	}
	if ev.Name == "put" && ev.Version != was.Version+1 {
		return fmt.Errorf("a gap: %s had version %d", ev.Key, was.Version)
	}
	return nil
}

// differs returns how f differs from entries among the keys that pick accepts,
// empty if it does not.
func (f *fold) differs(entries map[string]load.Entry, pick func(string) bool) string {
	var b strings.Builder
	for key, e := range entries {
		if got, ok := f.cells[key]; pick(key) && (!ok || got.Value != e.Value || got.Version != e.Version || got.Rev != e.Rev) {
			fmt.Fprintf(&b, "%s: got %+v, want %+v\n", key, got, e)
		}
	}
	for key, e := range f.cells {
		if _, ok := entries[key]; !ok {
			fmt.Fprintf(&b, "%s: got %+v, want it absent\n", key, e)
		}
	}
	return b.String()
}
