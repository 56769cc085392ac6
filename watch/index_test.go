package watch_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/watch"
)

// A visitor is a watch that is asked for its changes without waiting.
type visitor struct {
	watcher *watch.Watcher
	request watch.Request
}

// Wake implements watch.Waker: visitors are asked anyway.
func (*visitor) Wake(*watch.Watcher) {}

func (w *world) invite(keys, prefixes []string) *visitor {
	g := &visitor{request: watch.Request{Keys: keys, Prefixes: prefixes, From: watch.FromLive, Progress: watch.Never}}
	g.request.Waker = g
	var err error
	if g.watcher, err = w.hub.Watch(g.request); err != nil {
		w.t.Fatal(err)
	}
	g.changes(w.t)
	return g
}

// changes returns the keys that it was told of.
func (g *visitor) changes(t testing.TB) (keys []string) {
	var s watch.Scratch
	for {
		messages, again, err := g.watcher.Poll(&s, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for i := range messages {
			if messages[i].Entry != nil {
				keys = append(keys, messages[i].Key)
			}
		}
		if len(messages) == 0 && again.After(time.Now()) {
			return keys
		}
	}
}

func (g *visitor) wants(key string) bool {
	for _, k := range g.request.Keys {
		if k == key {
			return true
		}
	}
	for _, p := range g.request.Prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// randomNames returns up to n names that have much in common, of more lengths
// than prefixes have tables for.
func randomNames(rnd *rand.Rand, n int) (names []string) {
	for range rnd.IntN(n + 1) {
		name := "k" + strings.Repeat("a", rnd.IntN(45))
		if rnd.IntN(3) == 0 {
			name += "b"
		}
		names = append(names, name)
	}
	return names
}

// Without it a watcher could miss a change, or be told of one that is not for it,
// where others with the same names, or with ones that begin alike, come and go.
func TestWatchersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := gate.Seed(t)
		rnd := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t, watch.Options{}, kv.Params{})
		var visitors []*visitor
		told := 0
		for range 3000 {
			switch n := rnd.IntN(10); {
			case n < 4 && len(visitors) < 200:
				keys, prefixes := randomNames(rnd, 2), randomNames(rnd, 2)
				if len(keys)+len(prefixes) > 0 {
					visitors = append(visitors, w.invite(keys, prefixes))
				}
			case n < 7 && len(visitors) > 0:
				i := rnd.IntN(len(visitors))
				visitors[i].watcher.Close()
				visitors[i] = visitors[len(visitors)-1]
				visitors = visitors[:len(visitors)-1]
			default:
				key := append(randomNames(rnd, 1), "k")[0]
				w.put(key, "v")
				synctest.Wait()
				for _, g := range visitors {
					got := g.changes(t)
					told += len(got)
					if want := g.wants(key); want != (len(got) == 1) || len(got) > 1 || want && got[0] != key {
						t.Fatalf("seed %d: %+v was told of %q, want %q: %v", seed, g.request, got, key, want)
					}
				}
			}
		}
		for _, g := range visitors {
			g.watcher.Close()
		}
		if s := w.hub.Stats(); s.Watchers != 0 || told < 100 {
			t.Errorf("got %d watchers, %d changes, want none left and many", s.Watchers, told)
		}
	})
}

// Without it watchers would be lost where the index grows for many of them, or
// shrinks when they go.
func TestIndexGrowsAndShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 20_000
		w := newWorld(t, watch.Options{}, kv.Params{})
		visitors := make([]*visitor, many)
		for i := range visitors {
			visitors[i] = w.invite([]string{fmt.Sprintf("key/%d", i)}, nil)
		}
		for i := many - 1; i >= 0; i-- {
			if i%1000 == 0 {
				w.put(fmt.Sprintf("key/%d", i/2), "v")
				synctest.Wait()
				if got := visitors[i/2].changes(t); len(got) != 1 {
					t.Fatalf("with %d watchers: got %q, want one change", i+1, got)
				}
			}
			visitors[i].watcher.Close()
		}
		if s := w.hub.Stats(); s.Watchers != 0 || s.Behind != 0 {
			t.Errorf("got %+v, want nobody", s)
		}
	})
}

// Without it a watch could grow without anybody noticing: a million of them are to
// fit into 210 MB.
func TestIdleWatchIsSmall(t *testing.T) {
	const many, most = 50_000, 210
	w := newWorld(t, watch.Options{MaxWatches: many}, kv.Params{})
	shared, watches := &visitor{}, make([]*watch.Watcher, 0, many)
	heap := func() uint64 {
		var m runtime.MemStats
		for range 3 { // pools give up what they hold after two rounds
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var s watch.Scratch
	before := heap()
	for i := range many {
		name := fmt.Sprintf("sensors/%05d/", i)
		watcher, err := w.hub.Watch(watch.Request{Prefixes: []string{name}, From: watch.FromLive, Waker: shared})
		if err != nil {
			t.Fatal(err)
		}
		watches = append(watches, watcher)
		for range 3 { // until it is live
			if _, _, err := watcher.Poll(&s, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if each := float64(heap()-before) / many; each > most {
		t.Errorf("got %.0f bytes for an idle watch, want %d at most", each, most)
	} else {
		t.Logf("%.0f bytes for an idle watch", each)
	}
	for _, watcher := range watches {
		watcher.Close()
	}
}
