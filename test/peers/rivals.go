package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	nameRedisSet  = "redis SET, appendfsync always"
	nameRedisDeep = "redis SET, appendfsync always, -P 16"
	nameRedisGet  = "redis GET"
	nameEtcdPut   = "etcd put"
	nameEtcdGet   = "etcd get, linearizable"
)

func startRedis(c config, dir string) ([]contender, func(), error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	data := filepath.Join(dir, "redis")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, nil, err
	}
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", data, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always")
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	if err := awaitPort(addr); err != nil {
		end(cmd)
		return nil, nil, err
	}
	run := func(kind string, depth int) func() (float64, error) {
		return func() (float64, error) { return redisBenchmark(c, addr, kind, depth) }
	}
	return []contender{
		{nameRedisSet, "/s", run("set", 1)}, {nameRedisDeep, "/s", run("set", deep)}, {nameRedisGet, "/s", run("get", 1)},
	}, func() { end(cmd) }, nil
}

// deep is how many commands are sent at once where a client sends many.
const deep = 16

// redisBenchmark loads a server of clients of Redis and returns operations per second.
func redisBenchmark(c config, addr, kind string, depth int) (float64, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	out, err := exec.Command("redis-benchmark", "-h", host, "-p", port, "-c", strconv.Itoa(c.conns), "-d", strconv.Itoa(c.size),
		"-n", strconv.Itoa(redisOps(c, kind, depth)), "-r", strconv.Itoa(c.keys), "-t", kind, "-P", strconv.Itoa(depth), "--csv").Output()
	if err != nil {
		return 0, err
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil || len(rows) < 2 {
		return 0, fmt.Errorf("redis-benchmark printed %q", out)
	}
	return strconv.ParseFloat(rows[len(rows)-1][1], 64)
}

// redisOps returns how many commands take about as long as other measurements.
func redisOps(c config, kind string, depth int) int {
	n := 15_000 * c.seconds
	if kind == "get" || depth > 1 {
		n *= 4
	}
	return n
}

// launchEtcd runs an etcd and returns a client of it and what stops both.
func launchEtcd(dir string) (cli *clientv3.Client, stop func(), err error) {
	client, err1 := freeAddr()
	peer, err2 := freeAddr()
	if err1 != nil || err2 != nil {
		return nil, nil, fmt.Errorf("no free port for etcd")
	}
	cmd := exec.Command("etcd", "--data-dir", filepath.Join(dir, "etcd"), "--log-level", "error",
		"--listen-client-urls", "http://"+client, "--advertise-client-urls", "http://"+client,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer,
		"--initial-cluster", "default=http://"+peer)
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	cli, err = clientv3.New(clientv3.Config{Endpoints: []string{client}, DialTimeout: 15 * time.Second, Logger: zap.NewNop()})
	if err == nil {
		err = awaitPort(client)
	}
	if err != nil {
		end(cmd)
		return nil, nil, err
	}
	return cli, func() { cli.Close(); end(cmd) }, nil
}

func startEtcd(c config, dir string) ([]contender, func(), error) {
	cli, stop, err := launchEtcd(dir)
	if err != nil {
		return nil, nil, err
	}
	value := strings.Repeat("x", c.size)
	key := func() string { return fmt.Sprintf("bench/%d", rand.IntN(c.keys)) }
	put := func(ctx context.Context) error { _, err := cli.Put(ctx, key(), value); return err }
	get := func(ctx context.Context) error { _, err := cli.Get(ctx, key()); return err }
	return []contender{
		{nameEtcdPut, "/s", func() (float64, error) { return hammer(c, put) }},
		{nameEtcdGet, "/s", func() (float64, error) { return hammer(c, get) }},
	}, stop, nil
}

// hammer runs do from as many clients as there are connections elsewhere and
// returns how often a second it succeeded.
func hammer(c config, do func(context.Context) error) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.seconds)*time.Second)
	defer cancel()
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	began := time.Now()
	for range c.conns {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := do(ctx); err != nil {
					if ctx.Err() == nil {
						failed.Store(&err)
					}
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(began).Seconds(), nil
}
