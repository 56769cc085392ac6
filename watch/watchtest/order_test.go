package watchtest_test

import (
	"slices"
	"testing"

	"keywatch/kv"
	"keywatch/watch"
	"keywatch/watch/watchtest"
)

// A client that is cut off in a resync, by a server that has lost its history, and continues at one
// that has it, is told of versions older than those of the resync, which it has forgotten. One that
// was told all of the resync may not be.
func TestOrderAfterAResync(t *testing.T) {
	at := func(rev kv.Rev) kv.Position { return kv.Position{Epoch: 10, Rev: rev} }
	put := func(rev kv.Rev, version uint64, has bool) watchtest.Step {
		s := watchtest.Step{Kind: watch.Put, Change: watchtest.Change{Key: "k", Rev: rev, Create: 2, Version: version}, HasAt: has}
		if has {
			s.At = at(rev)
		}
		return s
	}
	connect := func(rev kv.Rev) watchtest.Step {
		return watchtest.Step{Kind: watchtest.Connect, At: at(rev), HasAt: true}
	}
	resync, synced := watchtest.Step{Kind: watch.Resync}, watchtest.Step{Kind: watch.Synced, At: at(9), HasAt: true}
	h := watchtest.NewHistory([]watchtest.Change{put(5, 2, false).Change, put(9, 3, false).Change})
	for name, c := range map[string]struct {
		steps []watchtest.Step
		wrong bool
	}{
		"cut off": {[]watchtest.Step{connect(4), resync, put(9, 3, false), connect(4), put(5, 2, true)}, false},
		"told":    {[]watchtest.Step{connect(4), resync, put(9, 3, false), synced, put(5, 2, true)}, true},
	} {
		all := watchtest.Judge(h, watchtest.Record{Keys: []string{"k"}, Latest: true, Steps: c.steps})
		got := slices.ContainsFunc(all, func(v *watchtest.Violation) bool { return v.Rule == watchtest.Ordered })
		if got != c.wrong {
			t.Errorf("%s: %v, want it out of order: %v", name, all, c.wrong)
		}
	}
}
