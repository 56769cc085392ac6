package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"keywatch/test/gate"
)

// TestProofKilledLeaderIsReplacedAtOnce: the others see that the process of the leader has ended, and need not wait for twenty
// seconds or more, as they must for one that is silent.
func TestProofKilledLeaderIsReplacedAtOnce(t *testing.T) {
	gate.Long(t)
	const timeout = 20 * time.Second
	slow := []string{"--election-timeout", fmt.Sprint(timeout)}
	w := newTeam(t, 3)
	w.startAll(append(slow, "--join", strings.Join(w.peer, ","), "--expect", "3")...)
	for i := range 3 {
		w.ready(i)
	}
	for range 3 {
		dead := w.leads(0)
		other := (dead + 1) % 3
		w.client(other).Put(t, "before", "it")
		w.servers[dead].kill()
		struck := time.Now()
		w.until(other, "another leads", func(d clusterDocument) bool {
			return d.Leader != "" && d.Leader != fmt.Sprint("n", dead+1)
		})
		w.client(other).Put(t, "after", "it")
		took := time.Since(struck)
		if t.Logf("n%d was killed: a write after %v", dead+1, took); took > timeout/2 {
			t.Errorf("n%d was killed: a write after %v", dead+1, took)
		}
		w.start(dead, slow...)
		w.ready(dead)
	}
}
