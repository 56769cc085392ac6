package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
)

// E8: a disk that hangs for a minute, a leader's or another's, must cost the others no more than one election. Its own server
// must say how it does all the while, must not lead, and must have everything once the disk works again.
func TestDiskThatHangsForAMinute(t *testing.T) {
	for _, leads := range []bool{true, false} {
		var doors [5]*door
		inTeam(t, func(id int, o *cluster.Options) {
			doors[id] = newDoor(nil)
			o.Log, o.QuickLog = doors[id], false
		}, func(w *team) {
			l := w.leader()
			hung, other := l, 1+l%3
			if !leads {
				hung, other = other, l
			}
			w.put(l, "k", "v")
			doors[hung].shut()
			outcome := make(chan error, 1)
			go func() {
				_, err := w.node[hung].Propose(context.Background(), put("own", "v", 0))
				outcome <- err
			}()
			time.Sleep(30 * time.Second) // two may stand for election at the same time, now and then
			elections := w.node[1].Stats().Led + w.node[2].Stats().Led + w.node[3].Stats().Led
			for i := range 60 {
				began := time.Now()
				w.put(other, "k", fmt.Sprint(i))
				if took := time.Since(began); took > time.Second {
					w.t.Errorf("the leader's disk: %v: a write took %v", leads, took)
				}
				if w.node[hung].Leads() != 0 {
					w.t.Errorf("a server whose disk hangs leads")
				}
				began = time.Now()
				if _, err := w.node[hung].Standings(); err != nil || time.Since(began) > 0 {
					w.t.Errorf("it says how it does after %v: %v", time.Since(began), err)
				}
				w.node[hung].Ended(uint64(w.leader())) // which is wrong
				time.Sleep(time.Second)
			}
			if now := w.node[1].Stats().Led + w.node[2].Stats().Led + w.node[3].Stats().Led; now != elections {
				w.t.Errorf("the leader's disk: %v: %d elections while one disk hangs", leads, now-elections)
			}
			doors[hung].reopen(nil)
			w.has(hung, "k", "59")
			if err := <-outcome; err != nil && !errors.Is(err, kv.ErrOutcomeUnknown) && !errors.Is(err, kv.ErrNoLeader) {
				w.t.Error(err)
			}
			w.put(hung, "k", "again")
		})
	}
}
