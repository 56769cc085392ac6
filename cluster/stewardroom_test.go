package cluster_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// A leader whose disk is full must hand over, or no server takes a write; not where most have no room either, nor
// for a moment.
func TestLeaderWithoutRoomHandsOver(t *testing.T) {
	var full [5]atomic.Bool
	rosteredAs(t, func(id int, o *cluster.Options) {
		o.Room = func() error {
			if full[id].Load() {
				return errors.New("no room")
			}
			return nil
		}
	}, func(w *team, _ *[4]atomic.Int32) {
		l := w.leader()
		a, b := others(l)
		full[l].Store(true)
		time.Sleep(time.Second)
		full[l].Store(false)
		time.Sleep(5 * time.Second)
		if got := w.leader(); got != l {
			w.t.Errorf("node %d leads after node %d had no room for a second", got, l)
		}
		full[l].Store(true)
		full[a].Store(true)
		time.Sleep(10 * time.Second)
		if got := w.leader(); got != l {
			w.t.Errorf("node %d leads, and only node %d has room", got, b)
		}
		full[a].Store(false)
		time.Sleep(10 * time.Second)
		next := w.leader()
		if next == l {
			w.t.Fatalf("node %d leads without room", l)
		}
		if _, err := w.open(next).Do(w.t.Context(), &kv.Command{Ops: []kv.Op{kvtest.Put("a", "1")}}); err != nil {
			w.t.Errorf("a write: %v", err)
		}
	})
}
