package watch_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/watch"
)

const victimWriters, victimWrites = 64, 20

// wantAll fails unless the next changes have all the revisions there are, each
// once, and nothing follows. It reads slowly where pause is not 0.
func (r *reader) wantAll(rnd *rand.Rand, pause time.Duration) {
	r.want(synced0)
	for rev := kv.Rev(1); rev <= victimWriters*victimWrites; rev++ {
		if pause > 0 {
			time.Sleep(time.Duration(rnd.Int64N(int64(pause))))
		}
		if m := r.next(); m.Kind != watch.Put || m.Entry.Mod != rev || m.At.Rev != rev {
			r.t.Errorf("got %v %+v, want revision %d", m.Kind, m.At, rev)
			return
		}
	}
	r.quiet(time.Second)
}

// Without it writers at once, and readers that are slow or stall while next to
// nothing waits for them, would let a watcher miss a revision or see one twice.
func TestWatchVictims(t *testing.T) {
	for _, mailbox := range []int{1, 2, 512} {
		t.Run(fmt.Sprintf("mailbox=%d", mailbox), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { victims(t, mailbox) })
		})
	}
}

func victims(t *testing.T, mailbox int) {
	const watchers = 256
	w := newWorld(t, watch.Options{Mailbox: mailbox}, kv.Params{})
	var reading, writing sync.WaitGroup
	stalled := make(chan struct{}) // closed when the writers have ended
	for i := range watchers {
		r := w.watch(watch.Request{Prefixes: []string{"k/"}, From: watch.FromLive, Progress: time.Hour})
		reading.Go(func() {
			if i%4 == 0 {
				<-stalled
			}
			r.wantAll(rand.New(rand.NewPCG(uint64(i), 1)), time.Duration(i%3)*time.Millisecond)
		})
	}
	for i := range victimWriters {
		rnd := rand.New(rand.NewPCG(uint64(i), 2))
		writing.Go(func() {
			for range victimWrites {
				time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
				w.put(fmt.Sprintf("k/%d", i), "v")
			}
		})
	}
	writing.Wait()
	if behind := w.hub.Stats().Behind; behind < watchers/4 {
		t.Errorf("got %d behind, want the %d that stall and more", behind, watchers/4)
	}
	close(stalled)
	reading.Wait()
	if s := w.hub.Stats(); s.Resyncs+s.Resets > 0 || s.Behind > 0 || s.Delivered != watchers*victimWriters*victimWrites {
		t.Errorf("got %+v, want each change delivered once to each", s)
	}
	w.hub.Close()
}
