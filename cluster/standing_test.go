package cluster_test

import (
	"sync/atomic"
	"testing"
	"time"

	"keywatch/cluster"
)

// If a server that hangs held up who asks how it does, its metrics would be missing when they matter most.
func TestStandingsOfAServerThatHangs(t *testing.T) {
	var held atomic.Pointer[chan struct{}]
	inTeam(t, func(id int, o *cluster.Options) {
		o.Cluster, o.Founder = "c", &cluster.Member{ID: cluster.ServerID(id), Name: "n"}
		o.About = func() cluster.About {
			if ch := held.Load(); ch != nil {
				<-*ch
			}
			return cluster.About{}
		}
	}, func(w *team) {
		l := w.leader()
		time.Sleep(time.Second) // the roster is founded, so that the loop calls About
		want, err := w.node[l].StandingsWithin(time.Second)
		if err != nil || !want.Leads {
			w.t.Fatalf("got %+v, %v", want, err)
		}
		hold := make(chan struct{})
		held.Store(&hold)
		began := time.Now()
		got, err := w.node[l].StandingsWithin(300 * time.Millisecond)
		if err != nil || got.Term != want.Term || !got.Leads || time.Since(began) != 300*time.Millisecond {
			w.t.Errorf("got %+v, %v after %v, want what was known after 300ms", got, err, time.Since(began))
		}
		held.Store(nil)
		close(hold)
		if got, err := w.node[l].StandingsWithin(time.Second); err != nil || got.Commit < want.Commit {
			w.t.Errorf("later: got %+v, %v", got, err)
		}
	})
}
