package watch_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"keywatch/kv"
	"keywatch/watch"
)

// If this failed, watches would take memory that is not counted, as 1.1 MiB of one with
// 1,024 names did; or what is counted would refuse watches that there is room for.
func TestCostIsWhatAWatchTakes(t *testing.T) {
	for _, c := range []struct {
		watches, names, size int
		// least is the part of the cost that is used at least, in hundredths: a watch
		// that is behind takes more than one that is idle.
		least int64
	}{
		{watches: 4000, names: 1, size: 20, least: 50},
		{watches: 100, names: 100, size: 20, least: 40},
		{watches: 20, names: 1024, size: 1000, least: 70},
	} {
		t.Run(fmt.Sprintf("%d names of %d bytes", c.names, c.size), func(t *testing.T) {
			w := newWorld(t, watch.Options{}, kv.Params{})
			var cost int64
			open := make([]*watch.Watcher, c.watches)
			before := heap()
			for i := range open {
				r := watch.Request{From: watch.FromLive, Waker: silent{}}
				for k := range c.names {
					name := fmt.Sprintf("%06d-%04d-%s", i, k, strings.Repeat("n", c.size))
					r.Keys = append(r.Keys, name[:c.size])
				}
				cost += r.Cost()
				var err error
				if open[i], err = w.hub.Watch(r); err != nil {
					t.Fatal(err)
				}
			}
			grown := heap() - before
			runtime.KeepAlive(open)
			if grown > cost+cost/10 || grown < cost*c.least/100 {
				t.Errorf("%d watches take %d bytes, %d were counted", c.watches, grown, cost)
			}
			for _, watcher := range open {
				watcher.Close()
			}
		})
	}
}

// heap returns what is alive.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// If this failed, 100,000 watchers that do not read would hold a gigabyte of references
// to events, or one that was left fewer would lose some.
func TestMailIsBoundedForAllWatchers(t *testing.T) {
	const watchers, mail, events = 50, 50 * 20, 100
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{Mail: mail}, kv.Params{})
		var open []*watch.Watcher
		for range watchers {
			watcher, err := w.hub.Watch(watch.Request{Prefixes: []string{"k"}, From: watch.FromLive, Waker: silent{}})
			if err != nil {
				t.Fatal(err)
			}
			defer watcher.Close()
			drain(t, watcher)
			open = append(open, watcher)
		}
		for i := range events {
			w.put(fmt.Sprint("k", i), "v")
		}
		synctest.Wait()
		if got := w.hub.Stats().Behind; got != watchers {
			t.Errorf("%d of %d watchers were left to history, with %d events and room for %d", got, watchers, events, mail/watchers)
		}
		for i, watcher := range open {
			if got := drain(t, watcher); got != events {
				t.Fatalf("watcher %d got %d messages, want %d", i, got, events)
			}
		}
		w.hub.Close()
	})
}
