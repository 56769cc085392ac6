package watch_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/watch"
)

// wantAfter fails unless the next message is want and takes just d to come.
func (r *reader) wantAfter(d time.Duration, want string) {
	r.t.Helper()
	start := time.Now()
	r.want(want)
	if got := time.Since(start); got != d {
		r.t.Fatalf("%s came after %v, want %v", want, got, d)
	}
}

func progress(rev int) string { return fmt.Sprintf(`{"type":"progress","pos":"7f3a9c21-%d"}`, rev) }

// Without it an idle client would see nothing for ever, and its position would
// fall out of history while nothing that it watches changes.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{}, kv.Params{})
		r := w.watch(watch.Request{Keys: []string{"a"}})
		r.want(reset, synced0)
		w.put("other", "1")
		r.wantAfter(15*time.Second, progress(1))
		time.Sleep(10 * time.Second)
		w.put("a", "2")
		r.wantAfter(0, line("a", "2", 2, 2, 1, pos(2)))
		w.put("other", "3")
		r.wantAfter(15*time.Second, progress(3))
		r.wantAfter(15*time.Second, progress(3))
		w.hub.Close()
	})
}

// Without it a request could not choose its own heartbeat.
func TestProgressOfRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{}, kv.Params{})
		r := w.watch(watch.Request{Keys: []string{"a"}, From: watch.FromLive, Progress: time.Second})
		r.want(synced0)
		r.wantAfter(time.Second, progress(0))
		w.hub.Close()
	})
}

// Without it a watcher that asked for at most one flush an interval would get
// more, or would not get the newest value, or a wrong count of those skipped.
func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{}, kv.Params{})
		r := w.watch(watch.Request{
			Prefixes: []string{""}, From: watch.FromLive, Mode: watch.Latest, Interval: 100 * time.Millisecond,
		})
		r.wantAfter(0, synced0)
		w.put("a", "1")
		r.wantAfter(0, line("a", "1", 1, 1, 1, pos(1)))
		w.put("b", "2")
		time.Sleep(30 * time.Millisecond)
		w.put("a", "3")
		w.put("c", "4")
		w.put("a", "5")
		r.wantAfter(70*time.Millisecond, line("b", "2", 2, 2, 1))
		r.wantAfter(0, line("c", "4", 4, 4, 1))
		r.wantAfter(0, line("a", "5", 5, 1, 3, `,"skipped":1`, pos(5)))
		time.Sleep(time.Second)
		w.put("a", "6")
		r.wantAfter(0, line("a", "6", 6, 1, 4, pos(6)))
		w.hub.Close()
	})
}

// Without it a heartbeat during an interval would claim a position whose
// changes are still held back, and a client that reconnects would lose them.
func TestProgressDuringInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{}, kv.Params{})
		r := w.watch(watch.Request{
			Prefixes: []string{""}, From: watch.FromLive, Mode: watch.Latest, Interval: time.Minute,
		})
		r.want(synced0)
		w.put("a", "1")
		r.want(line("a", "1", 1, 1, 1, pos(1)))
		w.put("a", "2")
		for range 3 {
			r.wantAfter(15*time.Second, progress(1))
		}
		r.wantAfter(15*time.Second, line("a", "2", 2, 1, 2, pos(2)))
		w.hub.Close()
	})
}

// Without it a slow reader in mode latest would be sent every version, or one
// whose position lets it lose a key.
func TestLatestWhenBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{}, kv.Params{})
		r := w.watch(watch.Request{Prefixes: []string{""}, From: watch.FromLive, Mode: watch.Latest})
		r.want(synced0)
		r.quiet(time.Second)
		w.put("b", "first")
		for i := 2; i <= 3001; i++ {
			w.put("a", fmt.Sprint(i))
		}
		synctest.Wait()
		got, last := 0, watch.Message{}
		for last.At.Rev != 3001 {
			m := r.next()
			if m.Entry.Mod <= last.At.Rev {
				t.Fatalf("got revision %d after position %v", m.Entry.Mod, last.At)
			}
			got += 1 + m.Skipped
			last = m
		}
		if got != 3001 {
			t.Errorf("sent and skipped are %d together, want 3001", got)
		}
		if sent := w.hub.Stats().Delivered; sent > 20 {
			t.Errorf("got %d changes delivered, want a few", sent)
		}
		w.hub.Close()
	})
}

// Without it the time to live that a watcher is told would be wrong, or expiry
// would look like a deletion by hand.
func TestTTL(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	live := w.watch(watch.Request{Keys: []string{"a"}, From: watch.FromLive})
	op := put("a", "1")
	op.TTL = 30 * time.Second
	w.do(batch(op))
	w.pass(10 * time.Second)
	state := w.watch(watch.Request{Keys: []string{"a"}})
	state.want(reset, line("a", "1", 1, 1, 1, `,"ttl_ms":20000`), synced(1))
	w.pass(20*time.Second + time.Millisecond)
	live.want(synced0, line("a", "1", 1, 1, 1, `,"ttl_ms":30000`, pos(1)))
	for _, r := range []*reader{live, state} {
		r.want(`{"type":"delete","key":"a","cause":"expired","rev":2,"create_rev":1,"version":2,"pos":"7f3a9c21-2"}`)
	}
}

// Log time passes between entries. Without the present time a state would give
// more time to live than there is.
func TestTTLOfStateCountsFromNow(t *testing.T) {
	var ahead atomic.Int64
	w := newWorld(t, watch.Options{Now: ahead.Load}, kv.Params{})
	op := put("a", "1")
	op.TTL = 30 * time.Second
	w.do(batch(op))
	ahead.Store(w.state.Time() + 700)
	w.watch(watch.Request{Keys: []string{"a"}}).want(reset, line("a", "1", 1, 1, 1, `,"ttl_ms":29300`), synced(1))
}
