package e2e_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// TestKillsWhileMovingLoseNothing: kills at any moment of packing, uploading,
// referring to, rewriting and deleting segments, under load and with values in all
// tiers, lose no acknowledged write and bring none back.
func TestKillsWhileMovingLoseNothing(t *testing.T) { killsWhileMovingLoseNothing(t, 2) }

func TestProofKillsWhileMovingLoseNothing(t *testing.T) {
	gate.Long(t)
	killsWhileMovingLoseNothing(t, 6)
}

func killsWhileMovingLoseNothing(t *testing.T, kills int) {
	t.Parallel()
	dir, objects := t.TempDir(), t.TempDir()
	keep := keep(t, dir, "--checkpoint-bytes", "256KiB", "--memory-max", "4MiB", "--history", "1MiB",
		"--object-store", "dir://"+objects, "--segment-size", "32KiB", "--backup-keep", "1ms")
	l := startTraffic(t, keep)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.running.Go(func() { migrate(ctx, t, keep) })
	for range kills {
		lasts(t, 500*time.Millisecond)
		keep.server().kill()
		atLeast := l.bounds()
		keep.restart(t)
		holds(t, listAtLast(t, keep.client(t)), atLeast, l.bounds())
	}
	cancel()
	l.stop(t)
	cl := keep.client(t)
	cl.Must(t, load.Call{Method: "POST", Path: "/v1/admin/migrate"}, 200)
	entries, _ := cl.List(t, "")
	holds(t, entries, l.bounds(), l.bounds())
	var status struct {
		Detail struct {
			Objects struct {
				Segments int `json:"segments"`
				Missing  int `json:"missing"`
			} `json:"objects"`
		} `json:"detail"`
	}
	a := cl.Must(t, load.Call{Method: "GET", Path: "/v1/status"}, 200)
	if err := a.Decode(&status); err != nil || status.Detail.Objects.Segments == 0 || status.Detail.Objects.Missing > 0 {
		t.Errorf("nothing was moved, or something is lost (%v): %s", err, a.Body)
	}
	if files, err := filepath.Glob(filepath.Join(objects, "*", "*", "*.seg")); err != nil || len(files) == 0 {
		t.Errorf("segments: %q, %v", files, err)
	}
}

// listAtLast returns all keys at one revision. Where writers wait for memory a list
// may be cut off, because of what is kept for it, and is then asked for again.
func listAtLast(t *testing.T, cl *load.Client) (entries map[string]load.Entry) {
	t.Helper()
	ctx := gate.Context(t)
	gate.Until(t, func() bool {
		a, err := cl.Do(ctx, load.Call{Method: "GET", Path: "/v1/kv?prefix="}.With("Accept", "application/x-ndjson"))
		if err != nil || a.Status != 200 {
			return false
		}
		entries, _, err = load.ParseList(a.Body)
		return err == nil
	}, "no list is whole")
	return entries
}

// migrate moves values to object storage again and again.
func migrate(ctx context.Context, t *testing.T, keep *restarter) {
	cl := keep.client(t)
	for ctx.Err() == nil {
		from := keep.server()
		a, err := cl.Do(ctx, load.Call{Method: "POST", Path: "/v1/admin/migrate"})
		if err != nil {
			keep.after(ctx, from)
		} else if a.Status >= 300 && a.Status != 503 {
			t.Errorf("migrate: status %d: %s", a.Status, a.Body)
			return
		}
	}
}
