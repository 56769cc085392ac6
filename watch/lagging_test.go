package watch_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/watch"
)

// An asker asks for the hub's figures where it is told of something, which is where the
// hub has its locks.
type asker struct {
	*testing.T
	hub   *watch.Hub
	asked int
}

// Wake implements watch.Waker.
func (a *asker) Wake(*watch.Watcher) {
	done := make(chan watch.Stats)
	go func() { done <- a.hub.Stats() }()
	select {
	case <-done:
		a.asked++
	case <-time.After(10 * time.Second):
		a.Error("Stats waits for the dispatcher")
	}
}

// A question about the server must not wait for the dispatcher's lock, nor hold it:
// events would come late as often as a client asks.
func TestStatsHoldNobodyUp(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	a := &asker{T: t, hub: w.hub}
	watcher, err := w.hub.Watch(watch.Request{Keys: []string{"k"}, From: watch.FromLive, Waker: a})
	if err != nil {
		t.Fatal(err)
	}
	var s watch.Scratch
	for again := true; again; { // until it follows
		messages, at, err := watcher.Poll(&s, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		again = len(messages) > 0 || !at.After(time.Now())
	}
	w.do(batch(put("k", "1")))
	for !dispatched(w) {
		time.Sleep(time.Millisecond)
	}
	watcher.Close()
	w.hub.Close()
	if a.asked == 0 {
		t.Error("the waker was never told")
	}
}

func dispatched(w *world) bool { return w.hub.Dispatched() == w.state.Position() }

// What is counted as watches fall behind, catch up and go must stay what a count of
// them would be.
func TestFiguresOfThoseBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const watches, keys = 20, 200
		w := newWorld(t, watch.Options{Mailbox: 4, SelfReadMax: 1 << 20}, kv.Params{})
		var open []*watch.Watcher
		for range watches {
			watcher, err := w.hub.Watch(watch.Request{Prefixes: []string{""}, From: watch.FromLive, Waker: silent{}})
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, watcher)
		}
		want := func(when string, behind int, lag uint64) {
			t.Helper()
			synctest.Wait()
			if s := w.hub.Stats(); s.Watchers != len(open) || s.Behind != behind || s.MaxLag != lag {
				t.Errorf("%s: got %d watches, %d behind by %d, want %d, %d and %d", when, s.Watchers, s.Behind, s.MaxLag, len(open), behind, lag)
			}
		}
		want("begun", watches, 0)
		for _, watcher := range open {
			drain(t, watcher)
		}
		want("following", 0, 0)
		for i := range keys {
			w.put(fmt.Sprint("k", i), "v")
		}
		want("not read", watches, keys)
		for i, watcher := range open[:watches/2] {
			drain(t, watcher)
			want("caught up", watches-i-1, keys)
		}
		for n := watches / 2; n > 0; n-- {
			open[len(open)-1].Close()
			open = open[:len(open)-1]
			lag := uint64(keys)
			if n == 1 {
				lag = 0
			}
			want("closed", n-1, lag)
		}
		for _, watcher := range open {
			watcher.Close()
		}
		open = nil
		want("all closed", 0, 0)
		w.hub.Close()
	})
}

// silent is a Waker for watches that are polled anyway.
type silent struct{}

// Wake implements watch.Waker.
func (silent) Wake(*watch.Watcher) {}

// drain polls until there is nothing more to say, and returns how many messages came.
func drain(t *testing.T, w *watch.Watcher) (n int) {
	t.Helper()
	var s watch.Scratch
	for {
		now := time.Now()
		messages, again, err := w.Poll(&s, now)
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) == 0 && again.After(now) {
			return n
		}
		n += len(messages)
	}
}
