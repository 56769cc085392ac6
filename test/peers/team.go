package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	nameTeamPut     = "keywatch of 3 PUT, fsynced"
	nameTeamBatch   = "keywatch of 3 batch of 512 puts, keys"
	nameTeamGet     = "keywatch of 3 GET at a follower, linearizable"
	nameEtcdTeamPut = "etcd of 3 put"
	nameEtcdTeamGet = "etcd of 3 get, linearizable"
)

const (
	teamSize = 3
	// teamStart is how long servers may take until they are ready.
	teamStart = time.Minute
	// electionMS is the election timeout of etcd, in milliseconds: keywatch's default.
	electionMS = 1000
	// batchOps is how many puts a batch of wrk has.
	batchOps = 512
	// askedFor is how long a question about a server may take.
	askedFor = 2 * time.Second
	// settle is the time before something is done to servers, so that they are calm.
	settle = 500 * time.Millisecond
)

// A member is one server of several.
type member struct {
	name string
	url  string
	args []string
	cmd  *exec.Cmd
}

func (m *member) start() error {
	m.cmd = exec.Command(m.args[0], m.args[1:]...)
	m.cmd.Stderr = os.Stderr
	return m.cmd.Start()
}

// kill ends it as a crash would.
func (m *member) kill() {
	m.cmd.Process.Kill()
	m.cmd.Wait()
}

// A team is several keywatch or etcd that are one store.
type team struct {
	members []*member
	// leader returns the one that leads, nil if none is known.
	leader func() *member
}

func (t *team) stop() {
	for _, m := range t.members {
		if m.cmd != nil {
			end(m.cmd)
		}
	}
}

// follower returns one that does not lead.
func (t *team) follower() *member {
	leader := t.leader()
	for _, m := range t.members {
		if m != leader {
			return m
		}
	}
	return nil
}

// await waits until one leads and all are ready.
func (t *team) await() error {
	for until := time.Now().Add(teamStart); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		ready := t.leader() != nil
		for _, m := range t.members {
			ready = ready && status(m.url+"/readyz") == 200
		}
		if ready {
			return nil
		}
	}
	return errors.New("the servers do not become ready")
}

var quick = &http.Client{Timeout: askedFor}

// status returns that of a GET, 0 for none.
func status(url string) int {
	resp, err := quick.Get(url)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// launchTeam runs three keywatch that begin together.
func launchTeam(c config, dir string) (*team, error) {
	token := filepath.Join(dir, "token")
	text, err := exec.Command(c.keywatch, "cluster", "token").Output()
	if err != nil {
		return nil, fmt.Errorf("keywatch cluster token: %w", err)
	}
	if err := os.WriteFile(token, text, 0o600); err != nil {
		return nil, err
	}
	t := new(team)
	var join []string
	for range teamSize {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		join = append(join, addr)
	}
	for i := range teamSize {
		m, err := newMember(c, dir, token, i, join[i])
		if err != nil {
			return nil, err
		}
		m.args = append(m.args, "--join", strings.Join(join, ","), "--expect", fmt.Sprint(teamSize))
		t.members = append(t.members, m)
	}
	t.leader = func() *member { return leaderOf(t.members) }
	for _, m := range t.members {
		if err := m.start(); err != nil {
			t.stop()
			return nil, err
		}
	}
	if err := t.await(); err != nil {
		t.stop()
		return nil, err
	}
	return t, nil
}

// newMember returns a keywatch that does not run yet.
func newMember(c config, dir, token string, i int, peer string) (*member, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("n%d", i+1)
	return &member{name: name, url: "http://" + addr, args: []string{
		c.keywatch, "serve", "--listen", addr, "--data", filepath.Join(dir, "team-"+name), "--name", name,
		"--peer-listen", peer, "--peer-advertise", peer, "--peer-token-file", token,
	}}, nil
}

// leaderOf asks members who leads.
func leaderOf(members []*member) *member {
	for _, asked := range members {
		resp, err := quick.Get(asked.url + "/v1/cluster")
		if err != nil {
			continue
		}
		var doc struct{ Leader string }
		err = json.NewDecoder(resp.Body).Decode(&doc)
		resp.Body.Close()
		for _, m := range members {
			if err == nil && m.name == doc.Leader {
				return m
			}
		}
	}
	return nil
}

// startTeam measures three keywatch: writes at the leader, reads at a follower.
func startTeam(c config, dir string) ([]contender, func(), error) {
	t, err := launchTeam(c, dir)
	if err != nil {
		return nil, nil, err
	}
	run := func(at func() *member, kind string, per float64) func() (float64, error) {
		return func() (float64, error) {
			rate, err := wrk(c, at().url, dir, kind, c.seconds)
			return rate * per, err
		}
	}
	if _, err := run(t.leader, "batch512", batchOps)(); err != nil { // nearly every key that GET asks for exists
		t.stop()
		return nil, nil, err
	}
	return []contender{
		{nameTeamPut, "/s", run(t.leader, "put", 1)}, {nameTeamBatch, "/s", run(t.leader, "batch512", batchOps)},
		{nameTeamGet, "/s", run(t.follower, "get", 1)},
	}, t.stop, nil
}

// launchEtcdTeam runs three etcd with the same election timeout.
func launchEtcdTeam(dir string) (*team, *clientv3.Client, error) {
	t := new(team)
	var clients, peers, cluster []string
	for i := range teamSize {
		client, err1 := freeAddr()
		peer, err2 := freeAddr()
		if err := errors.Join(err1, err2); err != nil {
			return nil, nil, err
		}
		clients, peers = append(clients, client), append(peers, peer)
		cluster = append(cluster, fmt.Sprintf("e%d=http://%s", i+1, peer))
	}
	for i := range teamSize {
		name := fmt.Sprintf("e%d", i+1)
		m := &member{name: name, url: "http://" + clients[i], args: []string{
			"etcd", "--name", name, "--data-dir", filepath.Join(dir, "team-"+name), "--log-level", "fatal",
			"--listen-client-urls", "http://" + clients[i], "--advertise-client-urls", "http://" + clients[i],
			"--listen-peer-urls", "http://" + peers[i], "--initial-advertise-peer-urls", "http://" + peers[i],
			"--initial-cluster", strings.Join(cluster, ","), "--heartbeat-interval", "100", "--election-timeout", fmt.Sprint(electionMS),
		}}
		t.members = append(t.members, m)
		if err := m.start(); err != nil {
			t.stop()
			return nil, nil, err
		}
	}
	cli, err := clientv3.New(clientv3.Config{Endpoints: clients, DialTimeout: 15 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.stop()
		return nil, nil, err
	}
	t.leader = func() *member { return etcdLeader(cli, t.members) }
	for until := time.Now().Add(teamStart); t.leader() == nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			cli.Close()
			t.stop()
			return nil, nil, errors.New("etcd has no leader")
		}
	}
	return t, cli, nil
}
