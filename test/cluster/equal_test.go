package cluster_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
	"keywatch/watch/watchtest"
)

// A view is what one node holds.
type view struct {
	node    string
	entries map[string]load.Entry
	at      string
}

// views returns what each node itself holds under a prefix.
func (c *cluster) views(ctx context.Context, clients []*load.Client, prefix string) ([]view, error) {
	var all []view
	for i, n := range c.nodes {
		list := load.Call{Method: "GET", Path: "/v1/kv?consistency=local&prefix=" + prefix}.With("Accept", "application/x-ndjson")
		a, err := clients[i].Do(ctx, list)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.name, err)
		}
		if a.Status != 200 {
			return nil, fmt.Errorf("%s: status %d: %s", n.name, a.Status, a.Body)
		}
		v := view{node: n.name}
		if v.entries, v.at, err = load.ParseList(a.Body); err != nil {
			return nil, fmt.Errorf("%s: %w", n.name, err)
		}
		all = append(all, v)
	}
	return all, nil
}

// differ says how two views are not the same.
func differ(all []view) error {
	for _, v := range all[1:] {
		if v.at != all[0].at {
			return fmt.Errorf("%s is at %s and %s at %s", all[0].node, all[0].at, v.node, v.at)
		}
		if !maps.Equal(v.entries, all[0].entries) {
			return fmt.Errorf("%s and %s are at %s and hold %v and %v", all[0].node, v.node, v.at, all[0].entries, v.entries)
		}
	}
	return nil
}

// converge waits until all nodes hold the same under a prefix, and returns it and how long
// that took.
func (c *cluster) converge(t testing.TB, prefix string) (map[string]load.Entry, time.Duration) {
	t.Helper()
	var clients []*load.Client
	for _, n := range c.nodes {
		clients = append(clients, load.Of(t, at{n}, time.Second))
	}
	began := time.Now()
	var all []view
	var err error
	gate.Until(t, func() bool {
		if all, err = c.views(t.Context(), clients, prefix); err == nil {
			err = differ(all)
		}
		return err == nil
	}, "the nodes do not become equal: %v", func() string { return fmt.Sprint(err) })
	return all[0].entries, time.Since(began)
}

// missing says which write that was acknowledged is not there, or which one is that was not.
func missing(held map[string]watchtest.Change, entries map[string]load.Entry) error {
	for key, want := range held {
		got, ok := entries[key]
		if !ok {
			return fmt.Errorf("%s is gone, its revision %d was acknowledged", key, want.Rev)
		}
		if got.Value != want.Value || got.Rev != uint64(want.Rev) || got.CreateRev != uint64(want.Create) || uint64(got.Version) != want.Version {
			return fmt.Errorf("%s is %+v, acknowledged was %+v", key, got, want)
		}
	}
	for key := range entries {
		if _, ok := held[key]; !ok {
			return fmt.Errorf("%s is there, but was deleted or never written", key)
		}
	}
	return nil
}
