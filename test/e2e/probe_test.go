package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// A server that waits to join a cluster must say at its own address that it lives and is not ready, or an orchestrator
// restarts it; once it has joined the same address serves.
func TestServerThatWaitsToJoinAnswersProbes(t *testing.T) {
	t.Parallel()
	w := newTeam(t, 2)
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		w.start(1, "--join", w.peer[0])
	}()
	cl := w.client(1)
	status := func(path string) (code int, problem string) {
		a, err := cl.Do(gate.Context(t), load.Call{Method: "GET", Path: path})
		if err != nil {
			return 0, ""
		}
		return a.Status, a.Problem().Code
	}
	gate.Until(t, func() bool { code, _ := status("/healthz"); return code == 200 }, "/healthz is not answered")
	for _, path := range []string{"/readyz", "/v1/kv/a", "/v1/cluster"} {
		if code, problem := status(path); code != 503 || problem != "starting" {
			t.Errorf("%s while it waits: got %d %s, want 503 starting", path, code, problem)
		}
	}
	if out, err := w.command(1, "ready"); err == nil || !strings.Contains(out, "starting") {
		t.Errorf("keywatch ready while it waits: %v, %s", err, out)
	}
	w.start(0)
	select {
	case <-joined:
	case <-gate.Context(t).Done():
		t.Fatal("n2 does not join")
	}
	w.ready(1)
	w.mustCommand(1, "ready")
	w.client(1).Put(t, "a", "1")
}

// An operator who asks a server that does not lead must have values moved all the same.
func TestMigrationIsRelayed(t *testing.T) {
	t.Parallel()
	w := newTeam(t, 2)
	store := "dir://" + filepath.Join(t.TempDir(), "objects")
	w.start(0, "--object-store", store)
	w.start(1, "--object-store", store, "--join", w.peer[0])
	w.ready(1)
	w.client(1).Put(t, "a", strings.Repeat("v", 4096))
	w.client(1).Must(t, load.Call{Method: "POST", Path: "/v1/admin/migrate"}, 200)
	moved := w.client(0).Must(t, load.Call{Method: "GET", Path: "/metrics"}, 200).Body
	if strings.Contains(moved, "\nkeywatch_object_moved_values_total 0\n") {
		t.Errorf("nothing was moved: %s", moved)
	}
	for i := range 2 {
		if got := w.client(i).Must(t, load.GetCall("a"), 200); len(got.Body) != 4096 {
			t.Errorf("n%d has %d bytes", i+1, len(got.Body))
		}
	}
}
