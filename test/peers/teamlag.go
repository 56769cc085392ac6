package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"
)

// compareTeam compares three keywatch with three etcd, and measures what only a cluster has; with joins only what a server
// that joins costs.
func compareTeam(c config, times int, joins bool) error {
	if joins {
		return compareJoins(c)
	}
	if err := measure(c, []start{startTeam, startEtcdTeam}); err != nil {
		return err
	}
	if err := withTeam(c, func(t *team, c config, dir string) error { return t.probe(c, dir, times) }); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "keywatch-team-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	gaps, err := etcdGaps(dir, times)
	show("etcd of 3, writers' gap, leader killed", gaps)
	return err
}

// withTeam has do measure three keywatch, which may have its data in dir too.
func withTeam(c config, do func(t *team, c config, dir string) error) error {
	dir, err := os.MkdirTemp("", "keywatch-team-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t, err := launchTeam(c, dir)
	if err != nil {
		return err
	}
	defer t.stop()
	return do(t, c, dir)
}

// probe measures what only a cluster has.
func (t *team) probe(c config, dir string, times int) error {
	if err := t.idle(); err != nil {
		return err
	}
	for _, probe := range []func(config, string) error{t.reads, t.events, t.besideWatchers, t.newcomers} {
		if err := probe(c, dir); err != nil {
			return err
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		gaps, err := t.gaps(times, sig)
		show(fmt.Sprintf("keywatch of 3, writers' gap, leader %v", sig), gaps)
		if err != nil {
			return err
		}
	}
	return nil
}

// idle prints the processor time of servers without clients.
func (t *team) idle() error {
	const during = 10 * time.Second
	before, err := t.used()
	if err != nil {
		return err
	}
	time.Sleep(during)
	after, err := t.used()
	fmt.Printf("%-60s %.2f %% of a core a server\n", "idle", 100*(after-before).Seconds()/during.Seconds()/float64(len(t.members)))
	return err
}

// used returns the processor time of all members.
func (t *team) used() (sum time.Duration, err error) {
	for _, m := range t.members {
		u, err := usageOf(m.cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		sum += u.cpu
	}
	return sum, nil
}

// reads prints what one reader waits at a follower, with and without what makes it linearizable.
func (t *team) reads(config, string) error {
	url := t.follower().url + "/v1/kv/read"
	write, end, err := httpWrite(t.leader())
	if err != nil {
		return err
	}
	defer end()
	if err := write(context.Background()); err != nil {
		return err
	}
	for _, how := range []string{"local", "linearizable"} {
		var all []time.Duration
		for range 2000 {
			began := time.Now()
			resp, err := quick.Get(url + "?consistency=" + how)
			if err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			all = append(all, time.Since(began))
		}
		show("one reader at a follower, "+how, all)
	}
	return nil
}

// events prints how much later than at the leader a watcher at a follower is told of a change.
func (t *team) events(config, string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var told [2]chan time.Time
	for i, m := range []*member{t.leader(), t.follower()} {
		var err error
		if told[i], err = watch(ctx, m.url+"/v1/watch?key=gap/"+t.leader().name+"&state=0&mode=keys"); err != nil {
			return err
		}
	}
	write, end, err := httpWrite(t.leader())
	if err != nil {
		return err
	}
	defer end()
	var all []time.Duration
	for range 500 {
		if err := write(ctx); err != nil {
			return err
		}
		first := <-told[0]
		all = append(all, max(0, (<-told[1]).Sub(first)))
		time.Sleep(5 * time.Millisecond)
	}
	show("an event at a follower, after the leader's", all)
	return nil
}

// watch returns when each change was told, once the stream is live.
func watch(ctx context.Context, url string) (chan time.Time, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	lines, told := bufio.NewScanner(resp.Body), make(chan time.Time, 64)
	for lines.Scan() && lines.Text() != "event: synced" {
	}
	go func() {
		defer resp.Body.Close()
		for lines.Scan() {
			if lines.Text() == "event: put" {
				told <- time.Now()
			}
		}
	}()
	return told, lines.Err()
}
