package e2e_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"keywatch/test/gate"
)

// at returns who asks a server of a team with a credential.
func (w *team) at(i int, secret string) *operator {
	t, ok := w.t.(*testing.T)
	if !ok {
		w.t.Fatal("an operator needs a test")
	}
	return &operator{t, "http://" + w.listen[i], secret}
}

// firstAdmin waits until one of the servers has made the first administrator, and returns its key.
func (w *team) firstAdmin() (key string) {
	w.t.Helper()
	gate.Until(w.t, func() bool {
		for _, dir := range w.dir {
			if b, err := os.ReadFile(filepath.Join(dir, "first-admin.key")); err == nil {
				key = strings.TrimSpace(string(b))
			}
		}
		return key != ""
	}, "no server makes an administrator")
	return key
}

// known waits until a server accepts a credential: it may be a moment behind the one that made it.
func (w *team) known(i int, secret string) {
	w.t.Helper()
	o := w.at(i, secret)
	gate.Until(w.t, func() bool {
		status, _ := o.ask(secret, "GET", "/v1/auth/whoami", "", "user")
		return status == 200
	}, "n%d does not know a credential", i+1)
}

// keyFile returns the text of a server's sealing key, and fails if others may read it.
func (w *team) keyFile(i int) string {
	w.t.Helper()
	path := filepath.Join(w.dir[i], "auth.key")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		w.t.Fatalf("sealing key of n%d: %v, %v", i+1, info, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// A server that joins must be able to read who the users are, without anything that an operator has to copy; one
// that would show the keys to everyone, or has another key, must be told what to do instead of joining.
func TestClusterGivesSealingKey(t *testing.T) {
	t.Parallel()
	w := newTeam(t, 4)
	w.start(0, "--auth=on")
	root := w.firstAdmin()
	w.start(1, "--join", w.peer[0]) // it learns that there is authentication
	if !strings.Contains(w.servers[1].line, "auth=on") || w.keyFile(0) != w.keyFile(1) {
		t.Errorf("n2 has joined without authentication, or with another key: %s", w.servers[1].line)
	}
	w.known(1, root)
	o := w.at(1, root)
	if status, _ := o.ask("", "GET", "/v1/kv/a", "", ""); status != 401 {
		t.Errorf("a read without a credential at n2: got %d, want 401", status)
	}
	o.made("PUT", "/v1/kv/a", "1", "")
	if code, printed := refused(t, w.args(2, "--join", w.peer[0], "--auth=off")...); code == 0 || !strings.Contains(printed, "--auth=on") {
		t.Errorf("a server without authentication joins: code %d, %s", code, printed)
	}
	if err := os.MkdirAll(w.dir[3], 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir[3], "auth.key"), []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, printed := refused(t, w.args(3, "--join", w.peer[0])...)
	for _, want := range []string{filepath.Join(w.dir[3], "auth.key"), filepath.Join(w.dir[0], "auth.key"), "n1"} {
		if code == 0 || !strings.Contains(printed, want) {
			t.Errorf("a server with another sealing key joins: code %d, want %q in %s", code, want, printed)
		}
	}
	w.servers[1].stop(t)
	if err := os.Remove(filepath.Join(w.dir[1], "auth.key")); err != nil {
		t.Fatal(err)
	}
	w.start(1) // it asks the others again
	w.known(1, root)
}

// A sealing key that the operator keeps outside of the data folder must not be given away, and a server that
// lacks it must be refused with what to do.
func TestClusterKeepsSealingKeyElsewhere(t *testing.T) {
	t.Parallel()
	w := newTeam(t, 3)
	key := filepath.Join(t.TempDir(), "sealing")
	if err := os.WriteFile(key, []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(0, "--auth=on", "--auth-key-file", key)
	root := w.firstAdmin()
	code, printed := refused(t, w.args(1, "--join", w.peer[0])...)
	for _, want := range []string{"n1", key, filepath.Join(w.dir[1], "auth.key"), "--auth-key-file"} {
		if code == 0 || !strings.Contains(printed, want) {
			t.Errorf("a server without the key joins: code %d, want %q in %s", code, want, printed)
		}
	}
	w.start(2, "--join", w.peer[0], "--auth-key-file", key)
	w.known(2, root)
	for _, dir := range w.dir {
		if _, err := os.Stat(filepath.Join(dir, "auth.key")); err == nil {
			t.Errorf("%s has a sealing key", dir)
		}
	}
}

// newCredential makes a key of a user with grants at one server and returns it and its id, once all that run know it.
func (w *team) newCredential(i int, root, user, grants string) (secret, id string) {
	w.t.Helper()
	o := w.at(i, root)
	o.made("PUT", "/v1/auth/roles/"+user, `{"grants":[`+grants+`]}`, "name")
	o.made("POST", "/v1/auth/users", `{"name":"`+user+`","password":"correct horse `+user+`","roles":["`+user+`"]}`, "name")
	secret = o.made("POST", "/v1/auth/keys", `{"user":"`+user+`","ttl":"1h"}`, "key")
	for k := range w.servers {
		w.known(k, secret)
	}
	_, id = o.ask(secret, "GET", "/v1/auth/whoami", "", "credential")
	return secret, id
}

// startSecured starts three servers with authentication, and returns the first administrator's key once all know it.
func (w *team) startSecured() (root string) {
	w.t.Helper()
	w.startAll("--auth=on", "--join", strings.Join(w.peer, ","), "--expect", "3")
	root = w.firstAdmin()
	for i := range w.servers {
		w.ready(i)
		w.known(i, root)
	}
	return root
}

// Three servers must have one set of users: who was made at one logs in at another, a revocation at the third ends
// what all do for that credential, and a follower decides about a write no less than the leader.
func TestProofUsersOfACluster(t *testing.T) {
	gate.Long(t)
	w := newTeam(t, 3)
	root := w.startSecured()
	if w.keyFile(0) != w.keyFile(1) || w.keyFile(0) != w.keyFile(2) {
		t.Fatal("the servers have different sealing keys")
	}
	secret, id := w.newCredential(0, root, "ann", `"read,watch,write:a/"`)
	status, session := w.at(1, "").ask("", "POST", "/v1/auth/login", `{"user":"ann","password":"correct horse ann"}`, "token")
	if status != 200 {
		t.Fatalf("log in at n2: got %d", status)
	}
	w.known(2, session)
	for i := range 3 {
		if status, _ := w.at(i, "").ask(secret, "PUT", "/v1/kv/a/n", "0", ""); status/100 != 2 {
			t.Errorf("a write at n%d that is allowed: got %d", i+1, status)
		}
		if status, need := w.at(i, "").ask(secret, "PUT", "/v1/kv/b", "0", "need"); status != 403 || need != "write:b" {
			t.Errorf("a write at n%d that is not allowed: got %d, need %q", i+1, status, need)
		}
		w.operates(i, root, secret)
		w.peerPortIsClosed(i, root)
	}
	var streams []*stream
	for i := range 3 {
		streams = append(streams, w.follow(i, secret))
	}
	if status, _ := w.at(2, "").ask(root, "DELETE", "/v1/auth/keys/"+id, "", ""); status != 204 {
		t.Fatalf("revoke at n3: got %d", status)
	}
	for i, s := range streams {
		if code, _ := s.ended(t); code != "revoked" {
			t.Errorf("the stream at n%d ended with %s, want revoked", i+1, code)
		}
		if status, _ := w.at(i, "").ask(secret, "PUT", "/v1/kv/a/n", "1", ""); status != 401 {
			t.Errorf("a write at n%d after the revocation: got %d, want 401", i+1, status)
		}
		if status, _ := w.at(i, "").ask(session, "GET", "/v1/kv/a/n", "", ""); status != 200 {
			t.Errorf("the session of the same user at n%d: got %d, want 200", i+1, status)
		}
	}
}

// operates checks that commands about the cluster need the right to, at any server.
func (w *team) operates(i int, root, other string) {
	w.t.Helper()
	run := func(secret string) (code int, printed string) {
		cmd := exec.Command(binary, "cluster", "status", "--server", "http://"+w.listen[i])
		cmd.Env = append(os.Environ(), "KEYWATCH_TOKEN="+secret)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode(), string(out)
		}
		return 0, string(out)
	}
	if code, printed := run(root); code != 0 || !strings.Contains(printed, "n3") {
		w.t.Errorf("cluster status at n%d as administrator: code %d, %s", i+1, code, printed)
	}
	if code, printed := run(other); code != 7 || !strings.Contains(printed, "cluster") {
		w.t.Errorf("cluster status at n%d without the right: code %d, %s", i+1, code, printed)
	}
	for _, op := range []string{"promote", "remove", "transfer"} {
		if status, need := w.at(i, "").ask(other, "POST", "/v1/cluster/"+op, `{"node":"n1"}`, "need"); status != 403 || need != "cluster" {
			w.t.Errorf("%s at n%d without the right: got %d, need %q", op, i+1, status, need)
		}
	}
}

// peerPortIsClosed checks that the address for other servers answers no client, whatever credential it has.
func (w *team) peerPortIsClosed(i int, secret string) {
	w.t.Helper()
	conn, err := tls.Dial("tcp", w.peer[i], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.Close()
	gate.Bound(w.t, conn)
	fmt.Fprintf(conn, "GET /v1/kv/a/n HTTP/1.1\r\nHost: n1\r\nAuthorization: Bearer %s\r\n\r\n", secret)
	if b, _ := io.ReadAll(conn); strings.Contains(string(b), "HTTP/") {
		w.t.Errorf("the peer address of n%d answers a client: %q", i+1, b)
	}
}

// Nothing may be told after a revocation that was answered, on any server, also where the leader is killed beside it.
func TestProofRevocationBesideKilledLeader(t *testing.T) {
	gate.Long(t)
	w := newTeam(t, 3)
	root := w.startSecured()
	for round := range 3 {
		secret, id := w.newCredential(round, root, fmt.Sprint("reader", round), `"read,watch:a/"`)
		var streams []*stream
		for i := range 3 {
			streams = append(streams, w.follow(i, secret))
		}
		leader := w.leadsAs(root)
		counted, stop, running := new(count), make(chan struct{}), sync.WaitGroup{}
		running.Go(func() { counted.run(w, root, stop) })
		gate.Until(t, func() bool { return counted.sent.Load() > 20 }, "nothing is written")
		killed := make(chan struct{})
		go func() { defer close(killed); w.servers[leader].kill() }()
		w.revoke((leader+1)%3, root, id)
		last := counted.sent.Load() // this one may have come before
		<-killed
		from := counted.sent.Load()
		gate.Until(t, func() bool { return counted.sent.Load() > from+20 }, "nothing is written after the leader has ended")
		close(stop)
		running.Wait()
		for i, s := range streams {
			code, told := s.ended(t)
			if code != "revoked" && (i != leader || code != "cut") {
				t.Errorf("round %d: the stream at n%d ended with %s", round, i+1, code)
			}
			if told > last {
				t.Errorf("round %d: n%d told number %d after the revocation, which was answered before %d was sent", round, i+1, told, last)
			}
		}
		w.start(leader, "--auth=on")
		w.ready(leader)
		for i := range 3 {
			if status, _ := w.at(i, "").ask(secret, "GET", "/v1/kv/a/n", "", ""); status != 401 {
				t.Errorf("round %d: n%d accepts what was revoked: got %d", round, i+1, status)
			}
		}
	}
}

// revoke ends a key at a server, until that is answered.
func (w *team) revoke(i int, root, id string) {
	w.t.Helper()
	o := w.at(i, root)
	gate.Until(w.t, func() bool {
		status, _ := o.ask(root, "DELETE", "/v1/auth/keys/"+id, "", "")
		return status == 204 || status == 404 // an earlier try
	}, "a key is not revoked")
}

// leadsAs returns the place of the leader, asked with a credential.
func (w *team) leadsAs(root string) (place int) {
	w.t.Helper()
	gate.Until(w.t, func() bool {
		_, name := w.at(0, "").ask(root, "GET", "/v1/cluster", "", "leader")
		_, err := fmt.Sscanf(name, "n%d", &place)
		return err == nil
	}, "there is no leader")
	return place - 1
}

// If a server that is cut off went on for ever, a revocation would not reach those whom it serves.
func TestProofServerThatIsCutOffShowsNothing(t *testing.T) {
	gate.Long(t)
	w := newTeam(t, 3)
	w.startAll("--auth=on", "--auth-lag=1s", "--join", strings.Join(w.peer, ","), "--expect", "3")
	root := w.firstAdmin()
	for i := range 3 {
		w.known(i, root)
	}
	w.at(0, "").ask(root, "PUT", "/v1/kv/a/n", "1", "")
	s := w.follow(0, root)
	w.servers[1].kill()
	w.servers[2].kill()
	if code, _ := s.ended(t); code != "no_leader" {
		t.Errorf("the stream ended with %s, want no_leader", code)
	}
	for _, path := range []string{"/v1/kv/a/n?consistency=local", "/v1/kv?prefix=a/&consistency=local", "/v1/watch?prefix=a/"} {
		if status, code := w.at(0, "").ask(root, "GET", path, "", "code"); status != 503 || code != "no_leader" {
			t.Errorf("%s at a server that is cut off: got %d %s, want 503 no_leader", path, status, code)
		}
	}
	w.start(1)
	w.ready(0)
	gate.Until(t, func() bool {
		status, _ := w.at(0, "").ask(root, "GET", "/v1/kv/a/n?consistency=local", "", "")
		return status == 200
	}, "n1 does not show what it has once it is up to date")
}
