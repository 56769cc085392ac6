package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.etcd.io/etcd/client/v3/concurrency"
)

const (
	nameLock     = "keywatch lock and unlock, one client"
	nameEtcdLock = "etcd lock and unlock, one client"
)

// startKeywatchLock measures a lock over plain HTTP: a POST that takes it on a
// lease of its own and a DELETE that releases it, both fsynced.
func startKeywatchLock(c config, dir string) ([]contender, func(), error) {
	k, err := launchKeywatch(c, dir)
	if err != nil {
		return nil, nil, err
	}
	c.conns = 1
	var client http.Client
	send := func(ctx context.Context, method, path, body string, want int) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, method, k.url+path, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != want {
			err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
		}
		return answer, err
	}
	cycle := func(ctx context.Context) error {
		answer, err := send(ctx, "POST", "/v1/locks/bench", `{"ttl":"10s"}`, 200)
		if err != nil {
			return err
		}
		var got struct{ Token uint64 }
		if err := json.Unmarshal(answer, &got); err != nil {
			return err
		}
		_, err = send(ctx, "DELETE", fmt.Sprintf("/v1/locks/bench?token=%d", got.Token), "", 204)
		return err
	}
	return []contender{{nameLock, "/s", func() (float64, error) { return hammer(c, whole(cycle)) }}}, k.stop, nil
}

// startEtcdLock measures the recipe of etcd's own client: a mutex on a session,
// whose lease was made before and is kept alive beside.
func startEtcdLock(c config, dir string) ([]contender, func(), error) {
	cli, stop, err := launchEtcd(dir)
	if err != nil {
		return nil, nil, err
	}
	session, err := concurrency.NewSession(cli, concurrency.WithTTL(10))
	if err != nil {
		stop()
		return nil, nil, err
	}
	c.conns = 1
	mutex := concurrency.NewMutex(session, "bench")
	cycle := func(ctx context.Context) error {
		if err := mutex.Lock(ctx); err != nil {
			return err
		}
		return mutex.Unlock(ctx)
	}
	return []contender{{nameEtcdLock, "/s", func() (float64, error) { return hammer(c, whole(cycle)) }}}, func() { session.Close(); stop() }, nil
}

// whole keeps the end of a measurement from cutting a cycle in two, which would
// leave the lock held.
func whole(cycle func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error { return cycle(context.WithoutCancel(ctx)) }
}
