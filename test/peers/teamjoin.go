package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// joinKeys is how many keys a store has that a server joins.
	joinKeys = 1_000_000
	// joinWriters write to the leader meanwhile, one every joinPause each.
	joinWriters, joinPause = 8, 5 * time.Millisecond
	// joinPatience is how long a server may take.
	joinPatience = 5 * time.Minute
)

// compareJoins runs three servers and prints what one that joins costs.
func compareJoins(c config) error { return withTeam(c, (*team).newcomers) }

// newcomers prints how long a new server takes until it serves a million keys, and what writers wait meanwhile and
// without, in turns: for a server that shares disk and processors with the others, and for one that has its own, as far as one
// machine can have it: its files are in memory and its priority is the lowest.
func (t *team) newcomers(c config, dir string) error {
	if err := t.fill(c, dir); err != nil {
		return err
	}
	away, err := os.MkdirTemp("/dev/shm", "keywatch-team-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(away)
	var calm []time.Duration
	kinds := []*joining{{name: "on the same disk and processors", dir: dir}, {name: "on its own", dir: away, first: []string{"nice", "-n", "19"}}}
	for round := range c.rounds {
		without, err := t.stretch(func() error { time.Sleep(time.Duration(c.seconds) * time.Second); return nil })
		if err != nil {
			return err
		}
		calm = append(calm, without...)
		for k, j := range kinds {
			if err := t.join(c, j, dir, round*len(kinds)+k, quantile(without, 0.99)); err != nil {
				return err
			}
		}
	}
	show("a write at the leader, no server joins", calm)
	for _, j := range kinds {
		j.show()
	}
	return nil
}

// A joining is what was measured while servers of one kind joined.
type joining struct {
	name  string
	dir   string
	first []string // before the command
	took  []time.Duration
	busy  []time.Duration // writes meanwhile
	ratio []float64
}

// join has the n-th server join while writers write, who wait for calm, p99, otherwise.
func (t *team) join(c config, j *joining, dir string, n int, calm time.Duration) error {
	var m *member
	began := time.Now()
	with, err := t.stretch(func() (err error) {
		m, err = t.admit(c, j, filepath.Join(dir, "token"), n)
		j.took = append(j.took, time.Since(began))
		return err
	})
	if err != nil {
		return err
	}
	j.busy = append(j.busy, with...)
	j.ratio = append(j.ratio, quantile(with, 0.99).Seconds()/calm.Seconds())
	return t.dismiss(m)
}

func (j *joining) show() {
	show("a new server until it serves 1,000,000 keys, "+j.name, j.took)
	show("a write at the leader meanwhile", j.busy)
	slices.Sort(j.ratio)
	fmt.Printf("%-60s %.2f, from %.2f to %.2f\n", "p99 of these / of those without, median of rounds", j.ratio[len(j.ratio)/2], j.ratio[0], j.ratio[len(j.ratio)-1])
}

// fill writes the keys.
func (t *team) fill(c config, dir string) error {
	c.keys, c.conns = joinKeys, 4 // more would wait for longer than wrk does where the machine is busy
	for filled := 0; filled < joinKeys; {
		rate, err := wrk(c, t.leader().url, dir, "fill", c.seconds)
		if err != nil {
			return err
		}
		filled += int(rate * float64(c.seconds) * batchOps)
	}
	return nil
}

// stretch has writers write to the leader while during runs, and returns how long each write took, in order.
func (t *team) stretch(during func() error) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var running sync.WaitGroup
	leader := t.leader()
	for range joinWriters {
		write, end, err := httpWrite(leader)
		if err != nil {
			return nil, err
		}
		running.Go(func() {
			defer end()
			for ctx.Err() == nil {
				began := time.Now()
				err := write(ctx)
				took := time.Since(began)
				mu.Lock()
				if err == nil {
					all = append(all, took)
				} else if ctx.Err() == nil {
					failed = err
				}
				mu.Unlock()
				time.Sleep(joinPause)
			}
		})
	}
	err := during()
	cancel()
	running.Wait()
	if err == nil {
		err = failed
	}
	slices.Sort(all)
	return all, err
}

// quantile returns one of durations that are in order.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// admit has a new server join, as an observer, and returns once it serves.
func (t *team) admit(c config, j *joining, token string, n int) (*member, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	m, err := newMember(c, j.dir, token, len(t.members)+n, addr)
	if err != nil {
		return nil, err
	}
	m.args = append(append(slices.Clone(j.first), m.args...), "--observer", "--join", joinOf(t.members))
	if err := m.start(); err != nil {
		return nil, err
	}
	for until := time.Now().Add(joinPatience); status(m.url+"/readyz") != 200; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			end(m.cmd)
			return nil, fmt.Errorf("a new server with %d keys is not ready", joinKeys)
		}
	}
	return m, nil
}

// dismiss removes a server that has joined, and ends it.
func (t *team) dismiss(m *member) error {
	defer end(m.cmd)
	resp, err := http.Post(t.leader().url+"/v1/cluster/remove", "application/json", strings.NewReader(fmt.Sprintf(`{"node":%q}`, m.name)))
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("remove %s: %s", m.name, resp.Status)
	}
	return nil
}

// joinOf returns the addresses for others.
func joinOf(members []*member) string {
	var list []string
	for _, m := range members {
		for i, a := range m.args {
			if a == "--peer-advertise" {
				list = append(list, m.args[i+1])
			}
		}
	}
	return strings.Join(list, ",")
}
