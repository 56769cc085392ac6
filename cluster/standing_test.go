package cluster_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
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

// If servers that have another state were not found, clients would get an answer here and another there, and no operator would
// know (etcd 13766).
func TestServerThatDiffersIsFound(t *testing.T) {
	for _, busy := range []bool{false, true} {
		rostered(t, func(w *team, _ *[4]atomic.Int32) {
			l := w.leader()
			wrong, right := others(l)
			differ := func() (list []cluster.ServerID) {
				s, err := w.node[l].Standings()
				if err != nil {
					w.t.Fatal(err)
				}
				for _, m := range s.Members {
					if m.Differs {
						list = append(list, m.ID)
					}
				}
				return list
			}
			w.put(l, "a", "1")
			time.Sleep(2 * time.Second)
			if got := differ(); len(got) > 0 {
				w.t.Errorf("%v differ, and nothing was planted", got)
			}
			s := w.state(wrong) // it takes this for the next entry
			other := kv.EncodeEntry(s.Time(), &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "planted"}}})
			if _, err := s.Apply(s.Applied()+1, 1, other); err != nil {
				w.t.Fatal(err)
			}
			for i := 0; i < 600 && (i == 0 || busy); i++ { // busy: the servers are never as far
				w.put(l, "b", fmt.Sprint(i))
			}
			time.Sleep(2 * time.Second)
			if got := differ(); len(got) != 1 || got[0] != cluster.ServerID(wrong) {
				w.t.Errorf("%v differ, want n%d and not n%d", got, wrong, right)
			}
		})
	}
}
