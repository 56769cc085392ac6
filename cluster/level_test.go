package cluster_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
)

// If a cluster logged what a member of an older release cannot apply, that member would end, and again at each start. The
// level must rise once all are upgraded, and not while one of them is not, or was for a moment only.
func TestLevelRisesWithTheLastMember(t *testing.T) {
	var knows [5]atomic.Int32 // the level of the release that each runs
	for id := range knows {
		knows[id].Store(3)
	}
	rosteredAs(t, func(id int, o *cluster.Options) {
		o.Level = 4
		o.LevelOf = func(c *kv.Command) int {
			if len(c.Ops) > 0 && strings.HasPrefix(c.Ops[0].Key, "new") {
				return 4
			}
			return 3
		}
		about := o.About
		o.About = func() cluster.About {
			a := about()
			a.Level = int(knows[id].Load())
			return a
		}
	}, func(w *team, _ *[4]atomic.Int32) {
		refused := func(what string, want bool) {
			w.t.Helper()
			for id := 1; id <= 3; id++ {
				_, err := w.open(id).Do(w.t.Context(), &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "new", Value: []byte("1")}}})
				if errors.Is(err, kv.ErrLevel) != want || !want && err != nil {
					w.t.Errorf("%s: node %d: got %v, want it refused: %v", what, id, err, want)
				}
				w.put(id, "old", "1")
			}
		}
		refused("all are old", true)
		l := w.leader()
		last, other := others(l)
		knows[l].Store(4)
		knows[other].Store(4)
		time.Sleep(5 * time.Minute)
		refused("one is old", true)
		knows[last].Store(4)
		time.Sleep(30 * time.Second)
		knows[last].Store(3) // the release is put back
		time.Sleep(5 * time.Minute)
		refused("one is old again", true)
		knows[last].Store(4)
		time.Sleep(2 * time.Minute)
		refused("none is old", false)
		if got := w.node[last].Roster().Level; got != 4 {
			w.t.Errorf("the cluster has level %d, want 4", got)
		}
	})
}

// If a server of an older release read the state of a newer cluster, it would misread it.
func TestNewerClusterIsRefused(t *testing.T) {
	rostered(t, func(w *team, _ *[4]atomic.Int32) {
		l := w.leader()
		id, _ := others(l)
		w.checkpoint(id)
		w.stop(id)
		w.opts[id].Level = 2
		state, err := w.images[id].load()
		if err != nil {
			w.t.Fatal(err)
		}
		w.setState(id, state)
		n, err := cluster.Open(w.t.Context(), w.opts[id])
		if err == nil {
			_ = n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "later release") {
			w.t.Errorf("got %v, want an error that names the release", err)
		}
		w.opts[id].Level = 0
		w.start(id)
	})
}
