package watch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/watch"
)

// The state of another server may have a history that the hub was not told of yet. A watcher must get
// it once, wait, and go on once the hub knows.
func TestHubThatIsNotToldYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{}, kv.Params{})
		defer w.hub.Close()
		w.put("k", "old")
		next := kv.NewState(kv.StateOptions{Presize: 64})
		var b kv.EntryBuilder
		b.AddSetup(kv.Setup{Epoch: 0x01020304})
		for i, entry := range [][]byte{b.Finish(0), kv.EncodeEntry(0, batch(put("k", "new")))} {
			if _, err := next.Apply(uint64(i+1), 1, entry); err != nil {
				t.Fatal(err)
			}
		}
		w.state.Retire()
		w.hub.Bind(next)
		r := w.watch(watch.Request{Keys: []string{"k"}, Progress: watch.Never})
		if m := r.next(); m.Kind != watch.Reset {
			t.Fatalf("got %v, want a reset", m)
		}
		if m := r.next(); m.Kind != watch.Put || m.Entry.Value() != "new" {
			t.Fatalf("got %v, want the new value", m)
		}
		if m := r.next(); m.Kind != watch.Synced {
			t.Fatalf("got %v, want synced", m)
		}
		r.quiet(time.Hour)
		next.Follow(w.hub)
		for i := range 3 {
			if _, err := next.Apply(uint64(i+3), 1, kv.EncodeEntry(0, batch(put("k", "newer")))); err != nil {
				t.Fatal(err)
			}
			m := r.next()
			for ; m.Kind == watch.Synced || m.Kind == watch.Resync; m = r.next() {
			}
			if m.Kind != watch.Put || m.Entry.Version != uint64(i+2) {
				t.Errorf("got %v, want version %d", m, i+2)
			}
		}
		r.watcher.Close()
	})
}

// A server that loads the state of another must send watchers to those who know more; they resume there,
// and here once it is loaded, where they were.
func TestEndAll(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	w.put("k", "1")
	r := w.watch(watch.Request{Keys: []string{"k"}, From: watch.FromLive})
	at := r.next().At.String()
	w.hub.EndAll(watch.CodeStarting)
	if m := r.next(); m.Kind != watch.Bye || m.Code != watch.CodeStarting {
		t.Errorf("got %v, want bye", m)
	}
	w.put("k", "2")
	again := w.watch(watch.Request{Keys: []string{"k"}, From: watch.FromPosition, Since: at})
	if m := again.next(); m.Kind != watch.Put || m.Entry.Value() != "2" {
		t.Errorf("got %v, want what was missed", m)
	}
}
