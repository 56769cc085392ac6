package app_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/cluster/peer"
	"keywatch/test/gate"
)

// A server that was away while the others wrote much, and let go of their logs, must get their
// state, serve it, and let those who watched it go on where they were.
func TestServerThatFellBehindInstalls(t *testing.T) {
	s := startThreeThatKeep(t, 5*time.Millisecond, 1)
	for i := range 20 {
		ask(t, "PUT", s.url[i%3]+fmt.Sprintf("/v1/kv/k/%d", i), "before")
	}
	ask(t, "PUT", s.url[0]+"/v1/kv/k/hop", "0")
	seen := watchUntil(t, s.url[2], "", "event: synced")
	if err := s.stop[2](); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 300; i++ {
		ask(t, "PUT", s.url[i%2]+"/v1/kv/k/hop", fmt.Sprint(i))
	}
	for i := range 2 {
		ask(t, "POST", s.url[i]+"/v1/admin/checkpoint", "")
	}
	s.again(2)
	if got, _ := ask(t, "GET", s.url[2]+"/v1/kv/k/hop", ""); got != "300" {
		t.Errorf("after its install: got %q, want 300", got)
	}
	if got, _ := ask(t, "GET", s.url[2]+"/v1/kv/k/7", ""); got != "before" {
		t.Errorf("what it had before: got %q", got)
	}
	metrics, _ := ask(t, "GET", s.url[2]+"/metrics", "")
	if !strings.Contains(metrics, "keywatch_checkpoint_installs_total 1\n") {
		t.Errorf("it did not install")
	}
	seen = watchUntil(t, s.url[2], seen, `"value":"300"`)
	ask(t, "PUT", s.url[2]+"/v1/kv/k/hop", "301")
	watchUntil(t, s.url[0], seen, `"value":"301"`)
}

// Trap 14: a log that is kept for a server that is away must not have the others make checkpoints for
// ever. Another leader would not know what the one that is away has, so one must lead all the time.
func TestKeptLogNeedsNoCheckpoint(t *testing.T) {
	for range 20 {
		if keptLogNeedsNoCheckpoint(t) || t.Failed() {
			return
		}
	}
	t.Error("no leader has led for long enough")
}

// keptLogNeedsNoCheckpoint looks at three servers of which one is closed. It reports false if another
// leader was elected after that, and nothing is known.
func keptLogNeedsNoCheckpoint(t *testing.T) bool {
	engines := threeEngines(t)
	if t.Failed() {
		return false
	}
	if engines[2].Status().Cluster.Leader {
		engines[0], engines[2] = engines[2], engines[0]
	}
	term := engines[2].Term()
	if err := engines[2].Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		if _, err := engines[0].Put(t.Context(), fmt.Sprint("k", i), bytes.Repeat([]byte("x"), 10<<10)); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range engines[:2] {
		gate.Until(t, func() bool { return !e.CheckpointDue() }, "no checkpoint is due")
	}
	leader := engines[0]
	if engines[1].Status().Cluster.Leader {
		leader = engines[1]
	}
	if err := leader.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	status, kept := leader.Status(), leader.LogBytes()
	if leader.Term() != term || !status.Cluster.Leader {
		return false
	}
	if kept < 300<<10 {
		t.Fatalf("%d bytes of log are kept, want those that the third needs", kept)
	}
	if status.Log.Bytes > 1<<10 {
		t.Errorf("a start would apply %d bytes, want next to none", status.Log.Bytes)
	}
	for range 3 {
		if leader.CheckpointDue() {
			t.Error("a checkpoint is due")
		}
		if err := leader.Checkpoint(t.Context()); err != nil || leader.Status().Checkpoint.Made > status.Checkpoint.Made+1 {
			t.Errorf("%d checkpoints were made of nothing, %v", leader.Status().Checkpoint.Made-status.Checkpoint.Made, err)
		}
	}
	return true
}

// threeEngines opens three servers of one cluster, which are closed with the test.
func threeEngines(t *testing.T) (engines [3]*app.Engine) {
	token, addrs := peer.NewToken(), make(map[uint64]string)
	var listeners [3]net.Listener
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i], addrs[uint64(i+1)] = l, l.Addr().String()
	}
	var wg sync.WaitGroup
	for i, l := range listeners {
		wg.Go(func() {
			config := app.Config{Data: t.TempDir(), CheckpointBytes: 64 << 10, CheckpointEvery: time.Hour}
			e, err := app.Open(t.Context(), config.AsPeer(uint64(i+1), l, addrs, token, 5*time.Millisecond))
			if err != nil {
				t.Error(err)
				return
			}
			engines[i] = e
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
	wg.Wait()
	return engines
}
