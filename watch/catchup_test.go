package watch_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/watch"
)

// Without it watchers in the shared catch-up could miss an event, get one
// twice or get part of a revision, where they come and go, are given little at a
// time, and the ring moves on meanwhile.
func TestRandomHistoriesOfTheLate(t *testing.T) {
	for i, history := range []int64{4 << 10, 20 << 10, 0} {
		for _, mailbox := range []int{2, 512} {
			t.Run(fmt.Sprintf("history=%d/mailbox=%d", history, mailbox), func(t *testing.T) {
				seed := gate.Seed(t)
				w := newWorld(t, watch.Options{History: history, Mailbox: mailbox, SelfReadMax: 1}, kv.Params{TombstoneMax: []int{3, 20, 1000}[i]})
				requests, told := w.run(seed, 12, 4, 800, i == 1)
				for i := range told {
					if err := w.judge(requests[i], told[i]); err != nil {
						t.Errorf("seed %d, client %d %+v: %v", seed, i, requests[i], err)
					}
				}
			})
		}
	}
}

// Without it a watcher that reconnects far behind others, or ends while it
// is in the shared catch-up, could keep them from where they want to be.
func TestManyFarBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, rounds = 50, 100
		w := newWorld(t, watch.Options{SelfReadMax: 10}, kv.Params{})
		begin := w.state.Position().Epoch
		for round := range rounds {
			commands := make([]*kv.Command, keys)
			for i := range commands {
				commands[i] = batch(put(fmt.Sprintf("k/%02d", i), fmt.Sprint(round)))
			}
			w.do(commands...)
		}
		since := func(rev int) string { return kv.Position{Epoch: begin, Rev: kv.Rev(rev)}.String() }
		var readers []*reader
		for i := range keys {
			r := w.watch(watch.Request{Prefixes: []string{fmt.Sprintf("k/%02d", i)}, From: watch.FromPosition, Since: since(1 + i*keys)})
			readers = append(readers, r)
			if i%5 == 4 { // this one leaves while it waits for the rest
				for range 1 + i/10 {
					r.next()
				}
				r.watcher.Close()
			}
		}
		for i, r := range readers {
			if i%5 == 4 {
				continue
			}
			for round := range rounds {
				rev := kv.Rev(1 + round*keys + i)
				if rev <= kv.Rev(1+i*keys) {
					continue
				}
				m := r.next()
				if m.Kind != watch.Put || m.Entry.Mod != rev || m.At.Rev != rev {
					t.Fatalf("watcher %d: got %v %+v, want revision %d", i, m.Kind, m.At, rev)
				}
			}
			if m := r.next(); m.Kind != watch.Synced {
				t.Fatalf("watcher %d: got %v, want synced", i, m.Kind)
			}
		}
		synctest.Wait()
		w.put("k/00", "live")
		if m := readers[0].next(); m.Kind != watch.Put || m.Entry.Value() != "live" {
			t.Errorf("got %v, want what is live", m.Kind)
		}
		time.Sleep(time.Second)
		if s := w.hub.Stats(); s.Resyncs != 0 || s.Resets != 0 {
			t.Errorf("got %+v, want nobody read the state", s)
		}
	})
}

// Without it a watcher that was sent a state newer than what the hub had been told
// would get changes again that the state has shown.
func TestLedAfterState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Options{SelfReadMax: 1}, kv.Params{})
		w.late = true
		for i := range 5 {
			w.put("k", fmt.Sprint(i))
		}
		r := w.watch(watch.Request{Prefixes: []string{"k"}})
		for m := r.next(); m.Kind != watch.Synced; {
			m = r.next()
		}
		w.told()
		w.put("k", "live")
		if m := r.next(); m.Kind != watch.Put || m.Entry.Value() != "live" {
			t.Errorf("got %v %+v, want only what is newer than the state", m.Kind, m.At)
		}
	})
}

// BenchmarkResume is the cost, for one watcher, of coming back to a prefix over
// 100,000 events, when 500 do so at once: each alone, or in the shared catch-up.
func BenchmarkResume(b *testing.B) {
	const watchers, behind = 500, 100_000
	for _, alone := range []int{1 << 40, 0} {
		b.Run(fmt.Sprintf("shared=%v", alone == 0), func(b *testing.B) {
			hub := watch.New(watch.Options{History: 64 << 20, SelfReadMax: alone})
			defer hub.Close()
			hub.Bind(kv.NewState(kv.StateOptions{}))
			t := &turnstile{woken: make(chan *watch.Watcher, 64*watchers)}
			var events []kv.Event
			for i := range behind {
				e := &kv.Entry{Mod: kv.Rev(i + 2), Create: 1, Version: 2}
				events = append(events, kv.Event{Key: fmt.Sprintf("sensors/%06d", i%(10*watchers)), Entry: e, Last: true})
			}
			epoch := kv.Position{Epoch: 1, Rev: 1}
			hub.Publish(nil, epoch)
			hub.Publish(events, kv.Position{Epoch: 1, Rev: behind + 1})
			var scratch watch.Scratch
			for b.Loop() {
				synced := 0
				var open []*watch.Watcher
				for i := range watchers {
					w, err := hub.Watch(watch.Request{
						Prefixes: []string{fmt.Sprintf("sensors/%06d", i)}, From: watch.FromPosition, Since: epoch.String(), Waker: t,
					})
					if err != nil {
						b.Fatal(err)
					}
					open = append(open, w)
					t.woken <- w
				}
				for synced < watchers {
					w := <-t.woken
					for more := true; more; {
						messages, again, err := w.Poll(&scratch, time.Now())
						if err != nil {
							b.Fatal(err)
						}
						for i := range messages {
							if messages[i].Kind == watch.Synced {
								synced++
							}
						}
						more = len(messages) > 0 || !again.After(time.Now())
					}
				}
				for _, w := range open {
					w.Close()
				}
				for len(t.woken) > 0 {
					<-t.woken
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*watchers), "ns/watcher")
		})
	}
}
