package watch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/watch"
)

// Without it a watcher that does not read would be cut off, hold up others, or
// go on with a gap that it is not told of.
func TestSlowWatcherIsResynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{History: 4096}, kv.Params{})
		slow := w.watch(watch.Request{Prefixes: []string{""}, From: watch.FromLive})
		fast := w.watch(watch.Request{Prefixes: []string{""}, From: watch.FromLive})
		slow.want(synced0)
		fast.want(synced0)
		for i := 1; i <= 2000; i++ {
			w.put("k", fmt.Sprint(i))
			synctest.Wait()
			fast.want(line("k", fmt.Sprint(i), i, 1, i, pos(i)))
		}
		slow.want(resync, line("k", "2000", 2000, 1, 2000), synced(2000))
		if got := w.hub.Stats().Resyncs; got != 1 {
			t.Errorf("got %d resyncs, want 1", got)
		}
	})
}

// Without it a watcher that is slow, but not so slow that history has moved on,
// would be resynced although nothing is lost.
func TestSlowWatcherCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{}, kv.Params{})
		r := w.watch(watch.Request{Prefixes: []string{"k"}, From: watch.FromLive})
		r.want(synced0)
		r.quiet(time.Second)
		for i := 1; i <= 5000; i++ {
			w.put("k", fmt.Sprint(i))
		}
		synctest.Wait()
		if s := w.hub.Stats(); s.Behind != 1 || s.MaxLag != 5000 {
			t.Errorf("got %d behind by %d, want 1 by 5000", s.Behind, s.MaxLag)
		}
		for i := 1; i <= 5000; i++ {
			r.want(line("k", fmt.Sprint(i), i, 1, i, pos(i)))
		}
		r.quiet(time.Second)
		if s := w.hub.Stats(); s.Behind != 0 || s.MaxLag != 0 || s.Resyncs != 0 || s.Delivered != 5000 {
			t.Errorf("got %+v, want all delivered", s)
		}
	})
}

// Without it a batch that is larger than a mailbox, or than what is returned at
// once, would arrive in parts.
func TestLargeBatchArrivesWhole(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	r := w.watch(watch.Request{Prefixes: []string{""}, From: watch.FromLive})
	r.want(synced0)
	ops := make([]kv.Op, 1000)
	for i := range ops {
		ops[i] = put(fmt.Sprintf("k%04d", i), strings.Repeat("v", 1000))
	}
	for rev := 1; rev <= 3; rev++ {
		w.do(batch(ops...))
		messages, err := r.watcher.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if got := len(messages); got != 1000 {
			t.Fatalf("got %d messages of revision %d, want 1000", got, rev)
		}
		for i := range messages {
			if got, want := messages[i].HasAt, i == 999; got != want {
				t.Fatalf("message %d of %d: HasAt %v, want %v", i, rev, got, want)
			}
		}
	}
}

// Without it a batch larger than all of history would be lost on its watchers.
func TestBatchBeyondHistory(t *testing.T) {
	w := newWorld(t, watch.Options{History: 4096}, kv.Params{})
	r := w.watch(watch.Request{Prefixes: []string{""}, From: watch.FromLive})
	r.want(synced0)
	ops := make([]kv.Op, 100)
	want := []string{resync}
	for i := range ops {
		key := fmt.Sprintf("k%02d", i)
		ops[i] = put(key, "v")
		want = append(want, line(key, "v", 1, 1, 1))
	}
	w.do(batch(ops...))
	r.want(append(want, synced(1))...)
	w.put("k00", "w")
	r.want(line("k00", "w", 2, 1, 2, pos(2)))
}
