package redisclients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

// serve runs a server in memory until the test ends, and returns its port.
func serve(t *testing.T) string {
	program := os.Getenv("KEYWATCH")
	if program == "" {
		t.Skip("SKIPPED, NOT TESTED: KEYWATCH names no program")
	}
	cmd := exec.Command(program, "serve", "--memory-only", "--listen", "127.0.0.1:0", "--resp", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line := make([]byte, 512)
	n, _ := out.Read(line)
	m := regexp.MustCompile(`resp=127\.0\.0\.1:(\d+)`).FindSubmatch(line[:n])
	if m == nil {
		t.Fatalf("it announces %q", line[:n])
	}
	return string(m[1])
}

// client returns go-redis in a version of the protocol, as it is by default otherwise: with its
// handshake, its probing and its pool.
func client(t *testing.T, port string, protocol int) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, Protocol: protocol})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func check[T comparable](t *testing.T, what string, got T, err error, want T) {
	t.Helper()
	if err != nil || got != want {
		t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
	}
}

// If a handshake, a pipeline or a transaction of go-redis failed, every service in Go would.
func TestGoRedis(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d", protocol), func(t *testing.T) {
			c, ctx := client(t, serve(t), protocol), context.Background()
			got, err := c.Set(ctx, "a", "1", time.Minute).Result()
			check(t, "set", got, err, "OK")
			n, err := c.Incr(ctx, "a").Result()
			check(t, "incr", n, err, int64(2))
			if _, err := c.Get(ctx, "none").Result(); !errors.Is(err, redis.Nil) {
				t.Errorf("an absent key: got %v", err)
			}
			if d, err := c.TTL(ctx, "a").Result(); err != nil || d <= 0 || d > time.Minute {
				t.Errorf("TTL: got %v, %v", d, err)
			}
			cmds, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Incr(ctx, "n")
				p.Expire(ctx, "n", time.Hour)
				return nil
			})
			if err != nil || len(cmds) != 2 {
				t.Errorf("transaction: got %v, %v", cmds, err)
			}
			for i := range 50 {
				c.Set(ctx, fmt.Sprintf("scan:%d", i), i, 0)
			}
			found := 0
			for it := c.Scan(ctx, 0, "scan:*", 7).Iterator(); it.Next(ctx); {
				found++
			}
			check(t, "scanned", found, nil, 50)
			compete(t, c)
		})
	}
}

// compete has clients count by WATCH, each of whose transactions may fail.
func compete(t *testing.T, c *redis.Client) {
	ctx := context.Background()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for done := 0; done < 25; {
				err := c.Watch(ctx, func(tx *redis.Tx) error {
					n, err := tx.Get(ctx, "count").Int()
					if err != nil && !errors.Is(err, redis.Nil) {
						return err
					}
					_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "count", n+1, 0); return nil })
					return err
				}, "count")
				if err == nil {
					done++
				} else if !errors.Is(err, redis.TxFailedErr) {
					t.Errorf("watch: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	n, err := c.Get(ctx, "count").Int()
	check(t, "count", n, err, 100)
}

// A lock that is not released because its script is not known would stay for its TTL.
func TestRedsync(t *testing.T) {
	c := client(t, serve(t), 3)
	m := redsync.New(goredis.NewPool(c)).NewMutex("lock", redsync.WithTries(1))
	if err := m.Lock(); err != nil {
		t.Fatal(err)
	}
	if err := redsync.New(goredis.NewPool(c)).NewMutex("lock", redsync.WithTries(1)).Lock(); err == nil {
		t.Error("two have the lock")
	}
	ok, err := m.Extend()
	check(t, "extend", ok, err, true)
	ok, err = m.Unlock()
	check(t, "unlock", ok, err, true)
	n, err := c.Exists(context.Background(), "lock").Result()
	check(t, "left behind", n, err, int64(0))
	if ok, err := m.Unlock(); ok || err == nil {
		t.Errorf("unlock again: got %v, %v", ok, err)
	}
}

func TestRedislock(t *testing.T) {
	c, ctx := client(t, serve(t), 3), context.Background()
	l, err := redislock.Obtain(ctx, c, "lock", time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := redislock.Obtain(ctx, c, "lock", time.Minute, nil); !errors.Is(err, redislock.ErrNotObtained) {
		t.Errorf("a second one: got %v", err)
	}
	if d, err := l.TTL(ctx); err != nil || d <= 0 || d > time.Minute {
		t.Errorf("TTL: got %v, %v", d, err)
	}
	if err := l.Refresh(ctx, time.Hour, nil); err != nil {
		t.Errorf("refresh: %v", err)
	}
	if err := l.Release(ctx); err != nil {
		t.Errorf("release: %v", err)
	}
	if err := l.Release(ctx); !errors.Is(err, redislock.ErrLockNotHeld) {
		t.Errorf("release again: got %v", err)
	}
}

// script runs a program that prints ok.
func script(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Errorf("%v: %v\n%s", cmd, err, out)
	}
}

func TestRedisPy(t *testing.T) {
	port := serve(t)
	if err := exec.Command("/usr/bin/python3", "-c", "import redis").Run(); err != nil {
		t.Skip("SKIPPED, NOT TESTED: redis-py is not installed (Debian: python3-redis)")
	}
	script(t, exec.Command("/usr/bin/python3", "testdata/redis_py.py", port))
}

func TestIORedis(t *testing.T) {
	port, dir := serve(t), t.TempDir()
	for _, name := range []string{"package.json", "ioredis.cjs"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install := exec.Command("npm", "install", "--no-audit", "--no-fund", "--silent")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: npm install: %v\n%s", err, out)
	}
	cmd := exec.Command("node", "ioredis.cjs", port)
	cmd.Dir = dir
	script(t, cmd)
}
