package e2e_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// orphan starts three servers, writes, and leaves one of them, which is stopped too.
func orphan(t *testing.T, writes int) *team {
	t.Helper()
	w := newTeam(t, 3)
	w.startAll("--join", strings.Join(w.peer, ","), "--expect", "3")
	for i := range 3 {
		w.ready(i)
	}
	for i := range writes {
		w.client(0).Put(t, fmt.Sprint("k", i), fmt.Sprint(i))
	}
	w.client(2).Must(t, load.GetCall(fmt.Sprint("k", writes-1)), 200) // it has applied that
	w.servers[0].kill()
	w.servers[1].kill()
	a := w.client(2).Must(t, load.Call{Method: "GET", Path: "/v1/kv/k0?consistency=local"}, 200)
	if a.Body != "0" {
		t.Errorf("a local read without a leader: got %q", a.Body)
	}
	return w
}

// If most servers are gone for good, what the last one has must not be: all of it begins a new cluster, which
// refuses the servers of the old one and grows again.
func TestSurvivorIsRecovered(t *testing.T) {
	t.Parallel()
	const writes = 20
	w := orphan(t, writes)
	all := strings.Join(w.peer, ",")
	recovery := []string{"cluster", "recover", "--data", w.dir[2]}
	if out, err := exec.Command(binary, recovery...).CombinedOutput(); err == nil {
		t.Fatalf("the folder of a server that runs is recovered: %s", out)
	}
	old := w.client(2).Must(t, load.Call{Method: "GET", Path: "/v1/kv/k0?consistency=local"}, 200).Header.Get("ETag")
	w.servers[2].kill() // so that its log has more than its checkpoint
	out, err := exec.Command(binary, recovery...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "members of the old cluster: n1, n2") {
		t.Fatalf("recover: %v: %s", err, out)
	}
	w.start(2, "--join", all, "--expect", "3") // as before
	w.ready(2)
	for i := range writes {
		a := w.client(2).Must(t, load.GetCall(fmt.Sprint("k", i)), 200)
		if a.Body != fmt.Sprint(i) {
			t.Errorf("k%d: got %q", i, a.Body)
		}
		if i == 0 && a.Header.Get("ETag") == old {
			t.Errorf("ETag %s means two things", old)
		}
	}
	w.until(2, "it is the only one", func(d clusterDocument) bool { return d.Copies == "1/1" && len(d.Members) == 1 })
	w.start(0) // of the old cluster
	gate.Until(t, func() bool { return strings.Contains(w.servers[0].out.String(), "belongs to another cluster") }, "a server of the old cluster is not told that it is refused")
	if a, err := w.client(0).Do(gate.Context(t), load.Call{Method: "GET", Path: "/readyz"}); err != nil || a.Status != 503 {
		t.Errorf("a server of the old cluster: got %+v, %v, want one that is not ready", a, err)
	}
	if d := w.document(2); len(d.Members) != 1 {
		t.Errorf("the new cluster has %+v", d.Members)
	}
	w.servers[0].kill()
	for i := range 2 {
		w.dir[i] = filepath.Join(t.TempDir(), "data")
		w.start(i, "--join", w.peer[2])
	}
	for i := range 2 {
		w.ready(i)
		w.client(i).Must(t, load.GetCall("k1"), 200)
	}
	w.until(2, "both are members", func(d clusterDocument) bool { return len(d.Members) == 3 })
}

// A folder that is not a member's, and one without a store, must not be changed by a recovery.
func TestRecoveryIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s := serve(t, "--data", dir)
	newClient(t, s).Put(t, "a", "1")
	s.stop(t)
	for _, d := range []string{dir, t.TempDir(), filepath.Join(dir, "missing")} {
		if out, err := exec.Command(binary, "cluster", "recover", "--data", d).CombinedOutput(); err == nil {
			t.Errorf("%s is recovered: %s", d, out)
		}
	}
	s = serve(t, "--data", dir)
	newClient(t, s).Must(t, load.GetCall("a"), 200)
}
