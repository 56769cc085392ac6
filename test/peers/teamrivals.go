package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// etcdLeader asks members which of them leads, nil if none says so.
func etcdLeader(cli *clientv3.Client, members []*member) *member {
	for _, m := range members {
		ctx, cancel := context.WithTimeout(context.Background(), settle)
		s, err := cli.Status(ctx, m.url)
		cancel()
		if err == nil && s.Leader == s.Header.MemberId {
			return m
		}
	}
	return nil
}

// startEtcdTeam measures three etcd through a client that knows all of them.
func startEtcdTeam(c config, dir string) ([]contender, func(), error) {
	t, cli, err := launchEtcdTeam(dir)
	if err != nil {
		return nil, nil, err
	}
	value := strings.Repeat("x", c.size)
	key := func() string { return fmt.Sprintf("bench/%d", rand.IntN(c.keys)) }
	put := again(func(ctx context.Context) error { _, err := cli.Put(ctx, key(), value); return err })
	get := again(func(ctx context.Context) error { _, err := cli.Get(ctx, key()); return err })
	return []contender{
		{nameEtcdTeamPut, "/s", func() (float64, error) { return hammer(c, put) }},
		{nameEtcdTeamGet, "/s", func() (float64, error) { return hammer(c, get) }},
	}, func() { cli.Close(); t.stop() }, nil
}

// again returns do that is repeated until it succeeds: on a busy machine an election may come between.
func again(do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			if err := do(ctx); err == nil || ctx.Err() != nil {
				return err
			}
		}
	}
}

// etcdGaps kills the leader of three etcd and returns how long writers had no answer each time.
func etcdGaps(dir string, times int) ([]time.Duration, error) {
	t, cli, err := launchEtcdTeam(dir)
	if err != nil {
		return nil, err
	}
	defer t.stop()
	defer cli.Close()
	var gaps []time.Duration
	for range times {
		leader := t.leader()
		if leader == nil {
			return gaps, fmt.Errorf("etcd has no leader")
		}
		gap, err := gapOf(t.others(leader), etcdWrite, leader.kill)
		if err != nil {
			return gaps, err
		}
		gaps = append(gaps, gap)
		if err := leader.start(); err != nil {
			return gaps, err
		}
		time.Sleep(askedFor) // it catches up
	}
	return gaps, nil
}

// etcdWrite returns what writes to one member of etcd.
func etcdWrite(m *member) (func(context.Context) error, func(), error) {
	u, err := url.Parse(m.url)
	if err != nil {
		return nil, nil, err
	}
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{u.Host}, DialTimeout: 15 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) error { _, err := cli.Put(ctx, "gap/"+m.name, "x"); return err }, func() { cli.Close() }, nil
}
