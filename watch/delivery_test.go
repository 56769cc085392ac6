package watch_test

import (
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/watch"
)

// If an event were not timed, or one that waits by wish were, no alert on slow delivery could be
// trusted.
func TestDeliveryTimes(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	live := w.watch(watch.Request{Prefixes: []string{""}})
	live.want(reset, synced(0))
	for range 200 {
		w.put("a", "x")
		live.next()
	}
	times := w.hub.DeliveryTimes()
	if times.Count != 3 || times.Sum <= 0 { // of revisions 64, 128 and 192
		t.Errorf("got %d in %v, want 3", times.Count, times.Sum)
	}
	// What a watch with an interval, or one that resumes, is told is old by then.
	slow := w.watch(watch.Request{Prefixes: []string{""}, Mode: watch.Latest, Interval: time.Millisecond})
	for m := slow.next(); m.Kind != watch.Synced; m = slow.next() {
	}
	resumed := w.watch(watch.Request{Prefixes: []string{""}, Since: "7f3a9c21-100"})
	for m := resumed.next(); m.At.Rev < 200; m = resumed.next() {
	}
	if got := w.hub.DeliveryTimes().Count; got != times.Count {
		t.Errorf("got %d, want still %d", got, times.Count)
	}
}
