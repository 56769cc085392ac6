package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// A team is servers of one store, each with a folder and the addresses that it keeps.
type team struct {
	t       testing.TB
	token   string // the file
	dir     []string
	listen  []string
	peer    []string
	servers []*server
}

// newTeam returns places for so many servers, of which none runs.
func newTeam(t testing.TB, size int) *team {
	t.Helper()
	w := &team{t: t, token: filepath.Join(t.TempDir(), "token"), servers: make([]*server, size)}
	token, err := exec.Command(binary, "cluster", "token").Output()
	if err == nil {
		err = os.WriteFile(w.token, token, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range size {
		w.dir = append(w.dir, filepath.Join(t.TempDir(), "data"))
		w.listen, w.peer = append(w.listen, gate.Address(t)), append(w.peer, gate.Address(t))
	}
	return w
}

// args returns the arguments of a server.
func (w *team) args(i int, more ...string) []string {
	return append([]string{
		"--data", w.dir[i], "--listen", w.listen[i], "--peer-listen", w.peer[i], "--peer-token-file", w.token,
		"--name", fmt.Sprint("n", i+1), "--election-timeout", "300ms", "--log-level", "info",
	}, more...)
}

// start starts a server and waits until it answers.
func (w *team) start(i int, more ...string) {
	w.t.Helper()
	s, err := launch(gate.Context(w.t), w.args(i, more...)...)
	if err != nil {
		w.t.Errorf("n%d: %v", i+1, err)
		return
	}
	w.servers[i] = s
	w.t.Cleanup(func() { s.end(w.t) })
}

// startAll starts all at the same time.
func (w *team) startAll(more ...string) {
	w.t.Helper()
	var wg sync.WaitGroup
	for i := range w.servers {
		wg.Go(func() { w.start(i, more...) })
	}
	wg.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// client returns a client of one server, which may be another process later.
func (w *team) client(i int) *load.Client {
	return load.NewClient(w.t, func() string { return "http://" + w.listen[i] }, nil)
}

// A clusterDocument is a part of /v1/cluster.
type clusterDocument struct {
	Leader, Copies string
	Members        []struct{ Name, Role, State string }
}

// document returns what a server says of the cluster.
func (w *team) document(i int) (d clusterDocument) {
	w.t.Helper()
	a := w.client(i).Must(w.t, load.Call{Method: "GET", Path: "/v1/cluster"}, 200)
	if err := json.Unmarshal([]byte(a.Body), &d); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// until waits until a server says something of the cluster, and returns it.
func (w *team) until(i int, what string, good func(clusterDocument) bool) clusterDocument {
	w.t.Helper()
	var d clusterDocument
	for ctx := gate.Context(w.t); ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		if d = w.document(i); good(d) {
			return d
		}
	}
	w.t.Fatalf("n%d never says that %s; it says %+v", i+1, what, d)
	return d
}

// ready waits until a server is ready.
func (w *team) ready(i int) {
	w.t.Helper()
	cl := w.client(i)
	for ctx := gate.Context(w.t); ; time.Sleep(20 * time.Millisecond) {
		a, err := cl.Do(ctx, load.Call{Method: "GET", Path: "/readyz"})
		if err == nil && a.Status == 200 {
			return
		}
		if ctx.Err() != nil {
			w.t.Fatalf("n%d is not ready: %+v, %v", i+1, a, err)
		}
	}
}

// leads returns the place of the leader.
func (w *team) leads(i int) (place int) {
	w.t.Helper()
	d := w.until(i, "there is a leader", func(d clusterDocument) bool { return d.Leader != "" })
	if _, err := fmt.Sscanf(d.Leader, "n%d", &place); err != nil {
		w.t.Fatal(err)
	}
	return place - 1
}

// command runs a command against a server and returns what it printed.
func (w *team) command(i int, args ...string) (string, error) {
	out, err := exec.Command(binary, append(args, "--server", "http://"+w.listen[i])...).CombinedOutput()
	return string(out), err
}

func (w *team) mustCommand(i int, args ...string) {
	w.t.Helper()
	if out, err := w.command(i, args...); err != nil {
		w.t.Fatalf("keywatch %v: %v: %s", args, err, out)
	}
}

// byeOf watches at a server and returns a channel that gets the endpoints which its bye names.
func (w *team) byeOf(i int) <-chan []string {
	w.t.Helper()
	resp, err := http.Get("http://" + w.listen[i] + "/v1/watch?key=bye&state=0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = resp.Body.Close() })
	in := bufio.NewScanner(resp.Body)
	for in.Scan() && in.Text() != "event: synced" {
	}
	said := make(chan []string, 1)
	go func() {
		var bye struct{ Endpoints []string }
		for in.Scan() {
			if text, ok := strings.CutPrefix(in.Text(), "data: "); ok && strings.Contains(text, `"type":"bye"`) {
				_ = json.Unmarshal([]byte(text), &bye)
			}
		}
		if len(bye.Endpoints) == 0 {
			bye.Endpoints = []string{"nothing"}
		}
		said <- bye.Endpoints
	}()
	return said
}

// Three servers that are told of each other must become one store: what one acknowledges all show, and
// neither a kill of the leader nor a stop of all may lose any of it.
func TestThreeBeginTogether(t *testing.T) {
	t.Parallel()
	w := newTeam(t, 3)
	w.startAll("--join", strings.Join(w.peer, ","), "--expect", "3")
	for i := range 3 {
		w.ready(i)
	}
	for i := range 30 {
		a := w.client(i%3).Put(t, fmt.Sprint("k", i), fmt.Sprint(i))
		if got := a.Header.Get("Keywatch-Durability"); got != "fsync; copies=2/3" {
			t.Errorf("Keywatch-Durability %q, want two copies of three", got)
		}
		if got := w.client((i+1)%3).Must(t, load.GetCall(fmt.Sprint("k", i)), 200); got.Body != fmt.Sprint(i) {
			t.Errorf("k%d at another server: %s", i, got.Body)
		}
	}
	for _, want := range []string{"keywatch_cluster_voters 3", "keywatch_cluster_leader_known 1", "keywatch_cluster_members_unreachable 0"} {
		gate.Until(t, func() bool { // a machine that is busy may need another election
			figures := w.client(1).Must(t, load.Call{Method: "GET", Path: "/metrics"}, 200).Body
			return strings.Contains(figures, "\n"+want+"\n")
		}, "the metrics never have %q", want)
	}
	for i, dir := range w.dir { // it may have fewer voters later, and must start with those
		gate.Until(t, func() bool {
			b, err := os.ReadFile(filepath.Join(dir, "node"))
			return err == nil && !strings.Contains(string(b), "\nexpect ")
		}, "n%d does not note that the cluster has begun", i+1)
	}
	dead := w.leads(0)
	w.servers[dead].kill()
	other := (dead + 1) % 3
	w.client(other).Put(t, "after", "it")
	if next := w.leads(other); next == dead {
		t.Errorf("n%d leads still", dead+1)
	}
	w.start(dead)
	w.ready(dead)
	for i := range 3 {
		w.servers[i].kill()
	}
	w.startAll()
	for i := range 3 {
		w.ready(i)
		for k := range 30 {
			w.client(i).Must(t, load.GetCall(fmt.Sprint("k", k)), 200)
		}
		w.client(i).Must(t, load.GetCall("after"), 200)
	}
	last := w.leads(0)
	leaves := w.byeOf(last)
	w.servers[last].stop(t)
	for i, named := range <-leaves {
		if i > 1 || named != "http://"+w.listen[(last+1)%3] && named != "http://"+w.listen[(last+2)%3] {
			t.Errorf("n%d leaves and names %q", last+1, named)
		}
	}
	w.client((last+1)%3).Put(t, "after", "a stop")
}

// A server that runs must grow to three while it is used, two must not have one name, and a server that was
// removed must not start again with what it has.
func TestOneGrowsToThree(t *testing.T) {
	t.Parallel()
	w := newTeam(t, 4)
	w.start(0)
	w.ready(0)
	w.client(0).Put(t, "a", "1")
	w.start(1, "--join", w.peer[0])
	w.start(2, "--join", w.peer[1]) // through one that does not lead
	for i := 1; i < 3; i++ {
		w.until(0, "it has caught up", func(d clusterDocument) bool { return len(d.Members) > i && d.Members[i].Role == "voter" })
	}
	var out string
	var err error
	gate.Until(t, func() bool {
		out, err = w.command(2, "cluster", "promote", "n2")
		return !strings.Contains(out, "not_caught_up")
	}, "n2 never has caught up")
	if err == nil || !strings.Contains(out, "--now") {
		t.Errorf("a second voter without a third: %v: %s", err, out)
	}
	w.mustCommand(2, "cluster", "promote", "n2", "--now")
	w.mustCommand(1, "cluster", "promote", "n3")
	w.until(1, "there are three voters", func(d clusterDocument) bool { return d.Copies == "2/3" })
	w.ready(2)
	w.client(2).Must(t, load.GetCall("a"), 200)
	code, printed := refused(t, w.args(3, "--join", w.peer[0], "--name", "n1")...)
	if code == 0 || !strings.Contains(printed, "another member has this name") {
		t.Errorf("a name that is taken: code %d, %s", code, printed)
	}
	w.mustCommand(0, "cluster", "transfer", "n2")
	w.mustCommand(2, "cluster", "remove", "n1")
	w.until(2, "two voters are left", func(d clusterDocument) bool { return d.Copies == "2/2" })
	w.servers[0].stop(t)
	if code, printed := refused(t, w.args(0)...); code == 0 || !strings.Contains(printed, "was removed") {
		t.Errorf("a server that was removed starts: code %d, %s", code, printed)
	}
	if out, err := w.command(2, "cluster", "remove", "n9"); err == nil || !strings.Contains(out, "no such member") {
		t.Errorf("a member that is none: %v: %s", err, out)
	}
}

// Folders that do not fit must be refused with who is who and what to do.
func TestWrongFolderDoesNotJoin(t *testing.T) {
	t.Parallel()
	w, other := newTeam(t, 2), newTeam(t, 1)
	w.start(0)
	other.start(0)
	other.client(0).Put(t, "a", "1")
	other.servers[0].stop(t)
	for _, c := range []struct {
		what string
		args []string
		want []string
	}{
		{"one of several, alone", []string{"--data", other.dir[0]}, []string{"n1", "--peer-listen"}},
		{"interval", w.args(1, "--fsync", "interval"), []string{"fsync", "vote"}},
	} {
		code, printed := refused(t, c.args...)
		for _, want := range c.want {
			if code == 0 || !strings.Contains(printed, want) {
				t.Errorf("%s: code %d, want %q in: %s", c.what, code, want, printed)
			}
		}
	}
	store := filepath.Join(t.TempDir(), "own")
	s := serve(t, "--data", store)
	newClient(t, s).Put(t, "a", "1")
	s.stop(t)
	w.dir[1] = store
	if code, printed := refused(t, w.args(1, "--join", w.peer[0])...); code == 0 || !strings.Contains(printed, "a store of its own") {
		t.Errorf("a folder with a store joins: code %d, %s", code, printed)
	}
}

// If a copy of a data folder ran beside its server, one of them could vote for one leader and the other
// for another.
func TestCopiedFolderIsRefused(t *testing.T) {
	t.Parallel()
	w := newTeam(t, 3)
	w.start(0)
	w.start(1, "--join", w.peer[0])
	w.until(0, "n2 is a member", func(d clusterDocument) bool { return len(d.Members) == 2 && d.Members[1].State != "unreachable" })
	w.servers[1].stop(t)
	if err := os.CopyFS(w.dir[2], os.DirFS(w.dir[1])); err != nil {
		t.Fatal(err)
	}
	w.start(1)
	w.until(0, "n2 is connected", func(d clusterDocument) bool { return d.Members[1].State != "unreachable" })
	code, printed := refused(t, w.args(2, "--name", "n2")...)
	if code == 0 || !strings.Contains(printed, "another process runs as server n2") {
		t.Errorf("a copy starts: code %d, %s", code, printed)
	}
}
