package watch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/watch"
)

const (
	reset   = `{"type":"reset","pos":"7f3a9c21-0"}`
	resync  = `{"type":"resync"}`
	synced0 = `{"type":"synced","pos":"7f3a9c21-0"}`
)

func synced(rev int) string { return fmt.Sprintf(`{"type":"synced","pos":"7f3a9c21-%d"}`, rev) }

// line is what a put looks like; rev, create and version in one text, and what
// follows.
func line(key, value string, rev, create, version int, rest ...string) string {
	return fmt.Sprintf(`{"type":"put","key":%q,"value":%q,"rev":%d,"create_rev":%d,"version":%d%s}`,
		key, value, rev, create, version, strings.Join(rest, ""))
}

func pos(rev int) string { return fmt.Sprintf(`,"pos":"7f3a9c21-%d"`, rev) }

// Without it a new watcher would not get the state first, or would see a change
// twice or not at all where the state ends and the changes begin.
func TestStateThenChanges(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	w.put("a", "1")
	w.put("b/1", "2")
	w.put("c", "3")
	w.do(batch(del("c")))
	r := w.watch(watch.Request{Keys: []string{"a", "c"}, Prefixes: []string{"b/"}})
	r.want(reset, line("a", "1", 1, 1, 1), line("b/1", "2", 2, 2, 1), synced(4))
	w.put("b", "no")
	w.put("b/1", "4")
	w.do(batch(del("a")))
	r.want(line("b/1", "4", 6, 2, 2, pos(6)),
		`{"type":"delete","key":"a","cause":"deleted","rev":7,"create_rev":1,"version":2,"pos":"7f3a9c21-7"}`)
}

// Without it a watcher of a key that two of its names select would be told of
// each change twice.
func TestOverlappingNames(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	w.put("a/b", "1")
	r := w.watch(watch.Request{Keys: []string{"a/b", "a/b"}, Prefixes: []string{"a/b", "a/", "a"}})
	r.want(reset, line("a/b", "1", 1, 1, 1), synced(1))
	w.put("a/b", "2")
	w.put("a/c", "3")
	r.want(line("a/b", "2", 2, 1, 2, pos(2)), line("a/c", "3", 3, 3, 1, pos(3)))
}

// Without it a live watcher would be sent the state, or would miss what happens
// right after the watch was opened.
func TestLive(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	w.put("a", "1")
	r := w.watch(watch.Request{Prefixes: []string{""}, From: watch.FromLive})
	w.put("a", "2")
	r.want(synced(1), line("a", "2", 2, 1, 2, pos(2)))
}

// Without it a revision's changes would carry ids to resume from in its middle,
// or none where the last change is not one that the watcher sees.
func TestBatchHasOnePosition(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	r := w.watch(watch.Request{Prefixes: []string{"a/"}})
	r.want(reset, synced0)
	w.do(batch(put("a/1", "x"), put("a/2", "y"), put("b", "z")))
	r.want(line("a/1", "x", 1, 1, 1), line("a/2", "y", 1, 1, 1, pos(1)))
}

// Without it a client that reconnects would lose changes, see some again, or
// not be told when it is up to date.
func TestResume(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	for i := range 5 {
		w.put("a", fmt.Sprint(i))
	}
	from := func(since string) *reader {
		return w.watch(watch.Request{Keys: []string{"a"}, From: watch.FromPosition, Since: since})
	}
	from("7f3a9c21-3").want(line("a", "3", 4, 1, 4, pos(4)), line("a", "4", 5, 1, 5, pos(5)), synced(5))
	from("7f3a9c21-5").want(synced(5))
	for _, since := range []string{
		"7f3a9c21-0", "7f3a9c22-3", "7f3a9c21-6", "7f3a9c21-18446744073709551615", "", "3", "garbage", "7F3A9C21-3",
	} {
		from(since).want(reset, line("a", "4", 5, 1, 5), synced(5))
	}
}

// Without it a watcher whose position has left history would miss changes, or
// start from nothing although what changed is still known.
func TestResyncWhenHistoryIsGone(t *testing.T) {
	w := newWorld(t, watch.Options{History: 4096}, kv.Params{})
	w.put("gone", "1")
	w.put("same", "2")
	w.put("new", "3")
	w.do(batch(del("gone")))
	for i := range 100 {
		w.put("new", fmt.Sprint(i))
	}
	r := w.watch(watch.Request{Prefixes: []string{""}, From: watch.FromPosition, Since: "7f3a9c21-2"})
	r.want(resync,
		`{"type":"delete","key":"gone","cause":"deleted","rev":4,"create_rev":1,"version":2}`,
		line("new", "99", 104, 3, 101), synced(104))
	keys := w.watch(watch.Request{Keys: []string{"gone", "same"}, From: watch.FromPosition, Since: "7f3a9c21-2"})
	keys.want(resync,
		`{"type":"delete","key":"gone","cause":"deleted","rev":4,"create_rev":1,"version":2}`, synced(104))
}

// Without it a state, or a position, that is newer than what the hub was told
// of would make a watcher see changes twice, or start over.
func TestHubIsToldLate(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	w.put("a", "1")
	w.late = true
	w.put("a", "2")
	w.put("a", "3")
	state := w.watch(watch.Request{Keys: []string{"a"}})
	resumed := w.watch(watch.Request{Keys: []string{"a"}, From: watch.FromPosition, Since: "7f3a9c21-3"})
	behind := w.watch(watch.Request{Keys: []string{"a"}, From: watch.FromPosition, Since: "7f3a9c21-2"})
	future := w.watch(watch.Request{Keys: []string{"a"}, From: watch.FromPosition, Since: "7f3a9c21-4"})
	state.want(reset, line("a", "3", 3, 1, 3), synced(3))
	resumed.want(synced(3))
	behind.want(resync, line("a", "3", 3, 1, 3), synced(3))
	future.want(reset, line("a", "3", 3, 1, 3), synced(3))
	w.told()
	w.put("a", "4")
	for _, r := range []*reader{state, resumed, behind, future} {
		r.want(line("a", "4", 4, 1, 4, pos(4)))
	}
}

// Without it a client would keep keys that were deleted so long ago that the server
// does not remember it.
func TestResetWhenDeletionsAreForgotten(t *testing.T) {
	w := newWorld(t, watch.Options{History: 4096}, kv.Params{TombstoneMax: 1})
	w.put("a", "1")
	w.do(batch(put("b", "2"), put("c", "3")))
	w.do(batch(del("a"), del("c")))
	for i := range 100 {
		w.put("b", fmt.Sprint(i))
	}
	r := w.watch(watch.Request{Prefixes: []string{""}, From: watch.FromPosition, Since: "7f3a9c21-2"})
	r.want(reset, line("b", "99", 103, 2, 101), synced(103))
}

// Without it a new epoch would leave watchers with the keys and the positions
// of a history that has ended.
func TestNewEpochResets(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	w.put("a", "1")
	r := w.watch(watch.Request{Keys: []string{"a"}})
	r.want(reset, line("a", "1", 1, 1, 1), synced(1))
	w.setup(kv.Setup{Epoch: 0xabc})
	r.want(`{"type":"reset","pos":"00000abc-0"}`, line("a", "1", 1, 1, 1),
		`{"type":"synced","pos":"00000abc-4294967297"}`)
	w.put("a", "2")
	r.want(line("a", "2", 4294967298, 1, 2, `,"pos":"00000abc-4294967298"`))
}

// Without it a state that was replaced by a newer one of the same history would
// leave watchers with a gap.
func TestReplacedStateResyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{}, kv.Params{})
		live := w.watch(watch.Request{Keys: []string{"a"}, From: watch.FromLive})
		live.want(synced0)
		live.quiet(time.Second)
		idle := w.watch(watch.Request{Keys: []string{"b"}, From: watch.FromLive})
		idle.want(synced0)
		w.late = true
		w.put("a", "1")
		w.put("a", "2")
		w.late = false
		w.hub.Reset(w.state.Position())
		live.want(resync, line("a", "2", 2, 1, 2), synced(2))
		idle.want(resync, synced(2))
		w.hub.Reset(w.state.Position())
		live.want(synced(2))
		w.put("a", "3")
		live.want(line("a", "3", 3, 1, 3, pos(3)))
		w.hub.Close()
	})
}

// Without it more than 32 lengths of prefix, which is what an event may cost,
// would hide keys from their watchers or show them others.
func TestManyPrefixLengths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{}, kv.Params{})
		var readers []*reader
		for n := 60; n > 0; n-- {
			readers = append(readers, w.watch(watch.Request{
				Prefixes: []string{strings.Repeat("x", n)}, From: watch.FromLive,
			}))
		}
		for _, r := range readers[:20] {
			r.watcher.Close()
		}
		for _, r := range readers[20:] {
			r.want(synced0)
			r.quiet(time.Millisecond)
		}
		for n := 1; n <= 61; n++ {
			w.put(strings.Repeat("x", n), "v")
		}
		for i, r := range readers[20:] {
			for n := 40 - i; n <= 61; n++ {
				r.want(line(strings.Repeat("x", n), "v", n, n, 1, pos(n)))
			}
			r.quiet(time.Millisecond)
			r.watcher.Close()
		}
		if got := w.hub.Stats().Watchers; got != 0 {
			t.Errorf("got %d watchers, want 0", got)
		}
		w.hub.Close()
	})
}

// Without it values would travel to watchers that asked for none.
func TestModeKeys(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	w.put("a", "1")
	r := w.watch(watch.Request{Keys: []string{"a"}, Mode: watch.Keys})
	w.put("a", "2")
	r.want(reset, `{"type":"put","key":"a","rev":2,"create_rev":1,"version":2}`, synced(2))
	w.put("a", "3")
	r.want(`{"type":"put","key":"a","rev":3,"create_rev":1,"version":3,"pos":"7f3a9c21-3"}`)
}

// Without it a refused request would be served, or count as open.
func TestRefusals(t *testing.T) {
	w := newWorld(t, watch.Options{MaxWatches: 2, MaxNames: 2}, kv.Params{})
	for _, c := range []struct {
		r    watch.Request
		want error
	}{
		{watch.Request{}, watch.ErrEmptyRequest},
		{watch.Request{Keys: []string{"a", "b"}, Prefixes: []string{"c"}}, watch.ErrRequestTooLarge},
		{watch.Request{Keys: []string{"a//b"}}, kv.ErrBadKey},
		{watch.Request{Prefixes: []string{"/"}}, kv.ErrBadKey},
		{watch.Request{Keys: []string{"a"}, Interval: time.Second}, watch.ErrBadInterval},
		{watch.Request{Keys: []string{"a"}, Mode: watch.Latest, Interval: -1}, watch.ErrBadInterval},
		{watch.Request{Keys: []string{"a"}, Mode: watch.Latest, Interval: 2 * time.Hour}, watch.ErrBadInterval},
	} {
		if _, err := w.hub.Watch(c.r); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v, want %v", c.r, err, c.want)
		}
	}
	a := w.watch(watch.Request{Keys: []string{"a"}})
	w.watch(watch.Request{Keys: []string{"a"}})
	if _, err := w.hub.Watch(watch.Request{Keys: []string{"a"}}); !errors.Is(err, watch.ErrTooManyWatches) {
		t.Errorf("got %v, want %v", err, watch.ErrTooManyWatches)
	}
	a.watcher.Close()
	a.watcher.Close()
	w.watch(watch.Request{Keys: []string{"a"}})
	unbound := watch.New(watch.Options{})
	defer unbound.Close()
	if _, err := unbound.Watch(watch.Request{Keys: []string{"a"}}); !errors.Is(err, kv.ErrStarting) {
		t.Errorf("got %v, want %v", err, kv.ErrStarting)
	}
}

// Without it clients would not learn that the server stops, or watches would
// outlive the hub.
func TestCloseSaysBye(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	live := w.watch(watch.Request{Keys: []string{"a"}, From: watch.FromLive})
	live.want(synced0)
	unread := w.watch(watch.Request{Keys: []string{"a"}})
	denied := w.watch(watch.Request{Keys: []string{"a"}})
	denied.watcher.End(watch.Message{Kind: watch.Denied})
	w.hub.Close()
	w.hub.Close()
	for _, r := range []*reader{live, unread} {
		m := r.next()
		if m.Kind != watch.Bye || m.Code != watch.CodeStopping || m.Retry < time.Second || m.Retry > 3*time.Second {
			t.Errorf("got %+v, want a bye with a retry of 1 to 3 s", m)
		}
	}
	denied.want(`{"type":"denied"}`)
	for _, r := range []*reader{live, unread, denied} {
		if _, err := r.watcher.Next(context.Background()); !errors.Is(err, watch.ErrClosed) {
			t.Errorf("got %v after the last message, want %v", err, watch.ErrClosed)
		}
	}
	if _, err := w.hub.Watch(watch.Request{Keys: []string{"a"}}); !errors.Is(err, watch.ErrClosed) {
		t.Errorf("got %v, want %v", err, watch.ErrClosed)
	}
}

// Without it Close would leave a Next that waits waiting for ever.
func TestCloseEndsNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{}, kv.Params{})
		r := w.watch(watch.Request{Keys: []string{"a"}})
		r.want(reset, synced0)
		done := make(chan error)
		go func() {
			_, err := r.watcher.Next(context.Background())
			done <- err
		}()
		synctest.Wait()
		r.watcher.Close()
		if err := <-done; !errors.Is(err, watch.ErrClosed) {
			t.Errorf("got %v, want %v", err, watch.ErrClosed)
		}
		w.hub.Close()
	})
}
