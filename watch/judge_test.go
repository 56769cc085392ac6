package watch_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/watch"
	"keywatch/watch/watchtest"
)

// judge holds what a client was told against all that happened.
func (w *world) judge(r watch.Request, steps []watchtest.Step) error {
	return watchtest.Check(watchtest.HistoryOf(w.history), recordOf(r, steps))
}

func recordOf(r watch.Request, steps []watchtest.Step) watchtest.Record {
	return watchtest.Record{Keys: r.Keys, Prefixes: r.Prefixes, Steps: steps}
}

// goodRecord returns what a client was told that reconnected once:
// 0 connect, 1 reset, 2 a/1@1, 3 synced, 4 a/1@2, 5 a/2@2, 6 connect from 2,
// 7 a/1@3, 8 a/3@4, 9 delete a/2@5, 10 synced.
func goodRecord(t *testing.T) (*world, watchtest.Record) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	w.put("a/1", "0")
	r := w.watch(watch.Request{Prefixes: []string{"a/"}})
	steps := []watchtest.Step{watchtest.Connected("")}
	take := func(r *reader, n int) {
		for range n {
			m := r.next()
			steps = append(steps, watchtest.StepOf(&m))
		}
	}
	take(r, 3)
	w.do(batch(put("a/1", "1"), put("b", "x"), put("a/2", "2")))
	take(r, 2)
	w.put("a/1", "3")
	w.put("a/3", "4")
	w.do(batch(del("a/2")))
	steps = append(steps, watchtest.Connected("7f3a9c21-2"))
	take(w.watch(watch.Request{Prefixes: []string{"a/"}, From: watch.FromPosition, Since: "7f3a9c21-2"}), 4)
	return w, watchtest.Record{Prefixes: []string{"a/"}, Steps: steps, Ample: true}
}

// Without it the validators could pass whatever happens: each rule is broken in
// turn in a good record, and must be among those found.
func TestValidatorsFindWhatIsBroken(t *testing.T) {
	w, good := goodRecord(t)
	history := watchtest.HistoryOf(w.history)
	if err := watchtest.Check(history, good); err != nil || len(good.Steps) != 11 {
		t.Fatalf("got %v for a good record of %d", err, len(good.Steps))
	}
	type steps = []watchtest.Step
	for _, c := range []struct {
		rule  watchtest.Rule
		name  string
		spoil func(s steps) steps
	}{
		{watchtest.Filtered, "another key", func(s steps) steps { s[7].Key = "b"; return s }},
		{watchtest.Ordered, "an older revision", func(s steps) steps { s[7], s[8] = s[8], s[7]; return s }},
		{watchtest.Ordered, "from before the resume", func(s steps) steps { return slices.Insert(s, 8, s[4]) }},
		{watchtest.Unique, "twice at once", func(s steps) steps { return slices.Insert(s, 8, s[7]) }},
		{watchtest.Unique, "again after a resume", func(s steps) steps { return slices.Insert(s, 7, s[4], s[5]) }},
		{watchtest.Unique, "twice in a state", func(s steps) steps { return slices.Insert(s, 3, s[2]) }},
		{watchtest.Atomic, "a position within a revision", func(s steps) steps { s[4].At.Rev, s[4].HasAt = 2, true; return s }},
		{watchtest.Atomic, "half a revision", func(s steps) steps { return slices.Delete(s, 4, 5) }},
		{watchtest.Bookmarked, "no position", func(s steps) steps { s[7].HasAt = false; return s }},
		{watchtest.Bookmarked, "a position in a state", func(s steps) steps { s[2].HasAt = true; return s }},
		{watchtest.Bookmarked, "a reset that does not start over", func(s steps) steps { s[1].At.Rev = 1; return s }},
		{watchtest.Bookmarked, "synced without a position", func(s steps) steps { s[10].HasAt = false; return s }},
		{watchtest.Bookmarked, "a position that goes back", func(s steps) steps { s[10].At.Rev = 3; return s }},
		{watchtest.Bookmarked, "a change that was covered", func(s steps) steps {
			early := s[9]
			early.Kind, early.Change, early.At.Rev = watch.Progress, watchtest.Change{}, 4
			return slices.Insert(s, 8, early)
		}},
		{watchtest.Resumable, "a gap at the seam", func(s steps) steps { return slices.Delete(s, 7, 8) }},
		{watchtest.Resumable, "synced instead of what was missed", func(s steps) steps { return slices.Delete(s, 7, 10) }},
		{watchtest.Resumable, "a reset without need", func(s steps) steps { return slices.Insert(s, 7, s[1]) }},
		{watchtest.Resumable, "a state that nobody announced", func(s steps) steps { return slices.Delete(s, 1, 2) }},
		{watchtest.Reliable, "a revision left out", func(s steps) steps { return slices.Delete(s, 8, 9) }},
		{watchtest.Reliable, "a deletion left out", func(s steps) steps { return slices.Delete(s, 9, 10) }},
		{watchtest.Consistent, "a version", func(s steps) steps { s[7].Version++; return s }},
		{watchtest.Consistent, "a creation", func(s steps) steps { s[7].Create++; return s }},
		{watchtest.Consistent, "a value", func(s steps) steps { s[7].Value = "x"; return s }},
		{watchtest.Consistent, "a kind", func(s steps) steps { s[9].Kind = watch.Put; return s }},
		{watchtest.Consistent, "what never happened", func(s steps) steps { s[8].Rev = 9; return s }},
		{watchtest.Converged, "a state without a key", func(s steps) steps { return slices.Delete(s, 2, 3) }},
		{watchtest.Converged, "a wrong value", func(s steps) steps { s[2].Value = "x"; return s }},
		{watchtest.Converged, "a deletion left out", func(s steps) steps { return slices.Delete(s, 9, 10) }},
	} {
		bad := good
		bad.Steps = c.spoil(slices.Clone(good.Steps))
		if !broken(watchtest.Judge(history, bad), c.rule) {
			t.Errorf("%s, %s: it was not found", c.rule, c.name)
		}
	}
}

func broken(list []*watchtest.Violation, rule watchtest.Rule) bool {
	return slices.ContainsFunc(list, func(v *watchtest.Violation) bool { return v.Rule == rule })
}

// A sabotage changes what the hub is told by the state, or how a client
// reconnects.
type sabotage struct {
	name  string
	rules []watchtest.Rule
	// publish, if set, stands between the state and the hub.
	publish func(hub *watch.Hub, n int, events []kv.Event, at kv.Position)
	// since, if set, is where a client resumes instead of its position.
	since func(at kv.Position) kv.Position
}

var sabotages = []sabotage{
	{name: "an entry is dropped", rules: []watchtest.Rule{watchtest.Reliable},
		publish: func(hub *watch.Hub, n int, events []kv.Event, at kv.Position) {
			if n%7 != 3 {
				hub.Publish(events, at)
			}
		}},
	{name: "an entry comes twice", rules: []watchtest.Rule{watchtest.Unique, watchtest.Bookmarked},
		publish: func(hub *watch.Hub, n int, events []kv.Event, at kv.Position) {
			hub.Publish(events, at)
			if n%7 == 3 {
				hub.Publish(events, at)
			}
		}},
	{name: "two revisions change places", rules: []watchtest.Rule{watchtest.Ordered, watchtest.Bookmarked},
		publish: func(hub *watch.Hub, _ int, events []kv.Event, at kv.Position) {
			first := slices.IndexFunc(events, func(e kv.Event) bool { return e.Last }) + 1
			hub.Publish(slices.Concat(events[first:], events[:first]), at)
		}},
	{name: "a revision is torn", rules: []watchtest.Rule{watchtest.Atomic},
		publish: func(hub *watch.Hub, _ int, events []kv.Event, at kv.Position) {
			torn := slices.DeleteFunc(slices.Clone(events), func(e kv.Event) bool { return e.Key == "a/3" })
			torn[1].Last = true
			hub.Publish(torn, at)
		}},
	{name: "changes have other keys", rules: []watchtest.Rule{watchtest.Consistent},
		publish: func(hub *watch.Hub, n int, events []kv.Event, at kv.Position) {
			wrong := slices.Clone(events)
			wrong[n%len(wrong)].Key = "a/2"
			hub.Publish(wrong, at)
		}},
	{name: "changes have other entries", rules: []watchtest.Rule{watchtest.Consistent, watchtest.Converged},
		publish: func(hub *watch.Hub, n int, events []kv.Event, at kv.Position) {
			wrong := slices.Clone(events)
			e := *wrongEntry(wrong[n%len(wrong)].Entry)
			wrong[n%len(wrong)].Entry = &e.Entry
			hub.Publish(wrong, at)
		}},
	{name: "a client resumes too late", rules: []watchtest.Rule{watchtest.Resumable, watchtest.Reliable},
		since: func(at kv.Position) kv.Position { return kv.Position{Epoch: at.Epoch, Rev: at.Rev + 3} }},
	{name: "a client resumes too early", rules: []watchtest.Rule{watchtest.Resumable, watchtest.Unique},
		since: func(at kv.Position) kv.Position { return kv.Position{Epoch: at.Epoch, Rev: at.Rev - min(at.Rev-1, 3)} }},
}

// wrongEntry returns an entry like e with another version; it shares nothing
// that changes.
func wrongEntry(e *kv.Entry) *struct{ kv.Entry } {
	var wrong struct{ kv.Entry }
	wrong.Mod, wrong.Create, wrong.Version = e.Mod, e.Create, e.Version+1
	return &wrong
}

// Without it the rules could hold of records only because records do not show
// what a hub does: faults between the state and the watchers must be found in
// what watchers were told.
func TestValidatorsFindSabotage(t *testing.T) {
	for _, s := range append(sabotages, sabotage{name: "nothing"}) {
		t.Run(s.name, func(t *testing.T) {
			w := newWorld(t, watch.Options{}, kv.Params{})
			w.sabotage = s.publish
			records := []watchtest.Record{w.sabotaged(1, s), w.sabotaged(2, s)}
			var got []*watchtest.Violation
			for i := range records {
				got = append(got, watchtest.Judge(watchtest.HistoryOf(w.history), records[i])...)
			}
			if s.rules == nil && len(got) > 0 {
				t.Errorf("got %v without a fault", got)
			}
			for _, rule := range s.rules {
				if !broken(got, rule) {
					t.Errorf("%s is not among %v", rule, got)
				}
			}
		})
	}
}

// sabotaged returns what a client was told that reconnects every few messages
// while changes happen.
func (w *world) sabotaged(seed uint64, s sabotage) watchtest.Record {
	rnd := rand.New(rand.NewPCG(seed, 7))
	r := watch.Request{Prefixes: []string{"a/"}, Progress: time.Millisecond}
	var steps []watchtest.Step
	pos := ""
	for i := range 40 {
		r.Since = pos
		if pos != "" {
			r.From = watch.FromPosition
			if at, err := kv.ParsePosition(pos); err == nil && s.since != nil && at.Rev > 0 {
				r.Since = s.since(at).String()
			}
		}
		reader := w.watch(r)
		steps = append(steps, watchtest.Connected(pos))
		for range 5 {
			w.do(batch(put("a/1", fmt.Sprint(rnd.IntN(1000))), put("b", "x"), put("a/3", "y")),
				batch(put(fmt.Sprintf("a/%d", 4+rnd.IntN(3)), "z")))
		}
		for n := 0; n < 5+i%5; n++ {
			m := reader.next()
			steps = append(steps, watchtest.StepOf(&m))
			if m.HasAt {
				pos = m.At.String()
			}
		}
		reader.watcher.Close()
	}
	return watchtest.Record{Prefixes: r.Prefixes, Steps: steps, Ample: true}
}
