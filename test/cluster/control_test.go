package cluster_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"keywatch/test/gate"
	"keywatch/test/load"
	"keywatch/watch/watchtest"
)

// controls checks that each judge would find a fault in a history that has passed: what clients
// were told is spoilt, one thing at a time.
func (h *history) controls(t testing.TB) {
	t.Helper()
	if spoilt, ok := load.Spoil(h.rec.Ops()); !ok || load.JudgeByKey(spoilt) != porcupine.Illegal {
		t.Errorf("a stale read passed (there was one to make: %v)", ok)
	}
	h.audience.Controls(t)
	for _, by := range []int{-1, 1} {
		if h.counter.judge(h.end+by) == nil {
			t.Errorf("a counter that is wrong by %d passed", by)
		}
	}
	controlMissing(t, h.audience.Held(), h.under("w/"))
}

// controlMissing spoils what the nodes hold.
func controlMissing(t testing.TB, held map[string]watchtest.Change, entries map[string]load.Entry) {
	t.Helper()
	keys := slices.Sorted(maps.Keys(entries))
	if len(keys) == 0 {
		t.Error("nothing was written")
		return
	}
	for what, spoil := range map[string]func(map[string]load.Entry, string){
		"a lost write":          func(m map[string]load.Entry, key string) { delete(m, key) },
		"a write applied twice": func(m map[string]load.Entry, key string) { e := m[key]; e.Version++; m[key] = e },
		"another value":         func(m map[string]load.Entry, key string) { e := m[key]; e.Value += "x"; m[key] = e },
		"a write from nowhere":  func(m map[string]load.Entry, key string) { m[key+"x"] = m[key] },
	} {
		spoilt := maps.Clone(entries)
		if spoil(spoilt, keys[0]); missing(held, spoilt) == nil {
			t.Errorf("%s passed", what)
		}
	}
}

// If the judge of TTLs saw nothing, a leader that begins with an old clock would pass.
func TestTTLJudge(t *testing.T) {
	t.Parallel()
	const ttl, without = time.Second, 700 * time.Millisecond
	began := time.Now()
	for what, c := range map[string]struct {
		lived time.Duration
		cause string
		wrong bool
	}{
		"in time":                  {ttl + time.Millisecond, "expired", false},
		"as late as it may be":     {ttl + without + lateMax, "expired", false},
		"early":                    {ttl - time.Millisecond, "expired", true},
		"late":                     {ttl + without + lateMax + time.Millisecond, "expired", true},
		"deleted without a client": {ttl + time.Millisecond, "deleted", true},
	} {
		m := &mortals{fast: 1}
		m.add("k", &mortal{ttl: ttl, sent: began, acked: began, ended: began.Add(c.lived), cause: c.cause})
		err := m.judge(func(time.Time, time.Time) time.Duration { return without })
		if (err != nil) != c.wrong {
			t.Errorf("%s: %v, want an error: %v", what, err, c.wrong)
		}
	}
}

// If gaps were counted that are none, a key could be as late as it likes.
func TestLeaderlessTime(t *testing.T) {
	t.Parallel()
	began := time.Now()
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	p := &pulse{}
	for _, ms := range []int{100, 200, 1200, 1300, 1400} {
		p.beat(at(ms))
	}
	for _, c := range []struct{ from, to, want int }{{0, 1500, 1000}, {500, 1000, 500}, {1250, 1500, 0}, {1300, 2300, 900}} {
		if got := p.leaderless(at(c.from), at(c.to)); got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("from %d to %d ms: got %v, want %d ms", c.from, c.to, got, c.want)
		}
		want := time.Duration(max(0, c.want-150)) * time.Millisecond
		if got := p.surelyLeaderless(at(c.from), at(c.to)); got != want {
			t.Errorf("from %d to %d ms, surely: got %v, want %v", c.from, c.to, got, want)
		}
	}
}

// If nodes that differ passed as equal, nothing would be known of those that did not ask.
func TestDifferentNodesAreFound(t *testing.T) {
	t.Parallel()
	same := func() []view {
		return []view{{"n1", map[string]load.Entry{"a": {Key: "a", Rev: 1}}, "1-1"}, {"n2", map[string]load.Entry{"a": {Key: "a", Rev: 1}}, "1-1"}}
	}
	if err := differ(same()); err != nil {
		t.Errorf("equal nodes: %v", err)
	}
	for what, spoil := range map[string]func(v *view){
		"an older position": func(v *view) { v.at = "1-0" },
		"another entry":     func(v *view) { v.entries["a"] = load.Entry{Key: "a", Rev: 2} },
		"a key more":        func(v *view) { v.entries["b"] = load.Entry{} },
		"a key less":        func(v *view) { clear(v.entries) },
	} {
		all := same()
		if spoil(&all[1]); differ(all) == nil {
			t.Errorf("%s passed", what)
		}
	}
}

// If a member that the leader says differs passed, its digests would be kept for nothing.
func TestDifferentDigestsAreFound(t *testing.T) {
	t.Parallel()
	for state, wrong := range map[string]bool{"ready": false, "lagging": false, "differs": true} {
		r := roster{Leader: "n1"}
		if err := json.Unmarshal(fmt.Appendf(nil, `{"members":[{"name":"n2","state":%q}]}`, state), &r); err != nil {
			t.Fatal(err)
		}
		if err := r.differ(); (err != nil) != wrong {
			t.Errorf("%s: %v, want an error: %v", state, err, wrong)
		}
	}
}

// TestProofFaultyNodesAreFound: nodes that answer reads from what they have applied, without
// asking others, are found. This is the mistake that clients of a leader which is cut off see.
func TestProofFaultyNodesAreFound(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	c := newFaulty(t, 3, "a stale read index")
	seed := gate.Seed(t)
	for i := range uint64(20) { // a fault need not strike where it can be seen
		h := newHistory(c, nemesis{name: "the leader alone", strike: leaderAlone(lost)}, seed+i)
		h.audience.Meet(t, func() { h.during(t) })
		if load.JudgeByKey(h.rec.Ops()) == porcupine.Illegal {
			t.Logf("found in history %d", i+1)
			return
		}
	}
	t.Error("stale reads were never found")
}
