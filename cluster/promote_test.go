package cluster_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/cluster"
)

// E13: Raft makes a voter of a server that has nothing, and a majority then needs it. It must be refused, however little
// there is to be had, and must not be promoted with time, until it has what the others have.
func TestServerThatHasNothingIsNotPromoted(t *testing.T) {
	rosteredAs(t, func(_ int, o *cluster.Options) {
		o.Reach = func(uint64) (bool, time.Time) { return true, time.Time{} }
	}, func(w *team, _ *[4]atomic.Int32) {
		l := w.leader()
		w.put(l, "k", "v")
		w.checkpoint(l)
		hold := make(chan struct{})
		w.images[l].setHook(func(step string) {
			if step == "checkpoint" {
				<-hold // the snapshot that it is to begin with
			}
		})
		w.start(4)
		if err := w.node[l].Join(w.t.Context(), *w.opts[4].Founder, ""); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(2 * nearFor)
		if s, err := w.node[l].Standings(); err != nil || s.Voters != 3 || s.Leader != cluster.ServerID(l) {
			w.t.Errorf("got %d voters and leader %v, want 3 and %d: %v", s.Voters, s.Leader, l, err)
		} else if x, _ := s.Find("n4"); !x.Learns || x.Installing || x.Applied != 0 || time.Since(x.Heard) > time.Second {
			w.t.Fatalf("got %+v, want a server that says that it has nothing", x)
		}
		if err := w.node[l].Promote(w.t.Context(), "n4", true); !errors.Is(err, cluster.ErrNotCaughtUp) {
			w.t.Errorf("got %v, want %v", err, cluster.ErrNotCaughtUp)
		}
		w.put(l, "k", "still")
		close(hold)
		w.has(4, "k", "still")
		time.Sleep(time.Second)
		if err := w.node[l].Promote(w.t.Context(), "n4", true); err != nil {
			w.t.Error(err)
		}
		if s, err := w.node[l].Standings(); err != nil || s.Voters != 4 {
			w.t.Errorf("got %d voters, want 4: %v", s.Voters, err)
		}
	})
}

// nearFor is how long a server must be near until the steward promotes it.
const nearFor = 10 * time.Second
