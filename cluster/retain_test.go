package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"keywatch/cluster"
)

// A server that was away for a few entries must get those, and not a whole state, however often the
// others have made checkpoints meanwhile, and after any change of leader.
func TestLogIsKeptForWhoIsBehind(t *testing.T) {
	inTeam(t, nil, func(w *team) {
		leader := w.leader()
		away, third := 1+leader%3, 1+(leader+1)%3
		w.put(leader, "k", "before")
		w.has(away, "k", "before")
		w.stop(away)
		for i := range 10 {
			w.put(leader, "k", fmt.Sprint(i))
			w.has(third, "k", fmt.Sprint(i))
			time.Sleep(time.Second) // the leader says what it keeps
			w.checkpoint(leader)
			w.checkpoint(third)
		}
		w.restart(third) // what is kept outlives a start
		w.restart(leader)
		w.restart(away)
		w.has(away, "k", "9")
		leader, third = w.leader(), 0
		for id := 1; id <= 3; id++ {
			if w.serves(id); id != leader && third == 0 {
				third = id
			}
		}
		away = 6 - leader - third
		w.isolate(away, true)
		for i := range 10 {
			w.put(leader, "k", fmt.Sprint("again ", i))
		}
		w.checkpoint(leader)
		w.has(third, "k", "again 9")
		time.Sleep(time.Second)
		w.checkpoint(third)
		w.stop(leader)
		w.isolate(away, false)
		w.put(third, "after", "it")
		w.has(away, "k", "again 9")
		w.has(away, "after", "it")
		for id := 1; id <= 3; id++ {
			if n := w.images[id].installed(); n > 0 {
				w.t.Errorf("server %d has installed %d states", id, n)
			}
		}
	})
}

// What is kept must be bounded, and give way where the disk is full.
func TestLogThatIsKeptIsBounded(t *testing.T) {
	const most = 20_000
	short := false
	inTeam(t, func(_ int, o *cluster.Options) { o.LogKeep, o.Short = most, func() bool { return short } }, func(w *team) {
		leader := w.leader()
		log := func() int64 { return w.opts[leader].Log.BytesAfter(0) }
		w.put(leader, "k", "before")
		w.stop(1 + leader%3)
		for i := range 1000 {
			w.put(leader, fmt.Sprint("k", i%10), "v")
			if i == 100 {
				w.checkpoint(leader)
				if kept := log(); kept < 100*64 {
					w.t.Errorf("%d bytes are kept, want all 100 entries", kept)
				}
			}
		}
		w.checkpoint(leader)
		if kept := log(); kept > most || kept < most/2 {
			w.t.Errorf("%d bytes are kept, want at most %d, and not much less", kept, most)
		}
		short = true
		if err := w.node[leader].Trim(); err != nil {
			w.t.Fatal(err)
		}
		if kept := log(); kept > 0 {
			w.t.Errorf("%d bytes are kept though the disk is full", kept)
		}
	})
}
