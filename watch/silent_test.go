package watch_test

import (
	"crypto/sha256"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/watch"
)

// If a revision without an event, as moving a value takes, did not count as seen, a
// client that read at it would wait for its watch to come so far until something
// else changes; and a watch from there would begin again.
func TestRevisionWithoutEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{}, kv.Params{})
		r := w.watch(watch.Request{Keys: []string{"a"}})
		r.want(reset, synced0)
		w.put("a", "1")
		r.want(line("a", "1", 1, 1, 1, pos(1)))
		sum := sha256.Sum256([]byte("1"))
		moved := w.do(&kv.Command{Refer: &kv.Refer{Segment: kv.SegmentID{Seq: 1}, Refs: []kv.Ref{
			{Key: "a", At: kv.Locator{Rev: 1}, Size: 1, Hash: [kv.HashSize]byte(sum[:])},
		}}})
		if moved[0].Referred != 1 {
			t.Fatalf("got %+v", moved[0])
		}
		r.wantAfter(15*time.Second, progress(2))
		if at := w.hub.Dispatched(); at.Rev != 2 {
			t.Errorf("dispatched: got %v, want revision 2", at)
		}
		w.put("b", "3")
		w.put("a", "4")
		r.want(line("a", "4", 4, 1, 2, pos(4)))
		w.hub.Close()
	})
}
