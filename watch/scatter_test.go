package watch_test

import (
	"fmt"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/watch"
)

// A turnstile collects the watchers that were woken, as a loop of sockets does.
type turnstile struct{ woken chan *watch.Watcher }

func (t *turnstile) Wake(w *watch.Watcher) { t.woken <- w }

// BenchmarkScattered is the cost of one event that is for one watcher of many:
// published in batches of 100, found, left, taken and encoded. Sending it is not
// part of that.
func BenchmarkScattered(b *testing.B) {
	const keys, size = 10_000, 100
	for _, prefix := range []bool{false, true} {
		b.Run(fmt.Sprintf("prefix=%v", prefix), func(b *testing.B) {
			hub := watch.New(watch.Options{History: 16 << 20})
			hub.Bind(kv.NewState(kv.StateOptions{}))
			t := &turnstile{woken: make(chan *watch.Watcher, 2*keys)}
			var scratch watch.Scratch
			names := make([]string, keys)
			for i := range names {
				names[i] = fmt.Sprintf("sensors/%06d", i)
				req := watch.Request{Keys: names[i : i+1], From: watch.FromLive, Waker: t}
				if prefix {
					req.Keys, req.Prefixes = nil, names[i:i+1]
				}
				w, err := hub.Watch(req)
				if err != nil {
					b.Fatal(err)
				}
				defer w.Close()
				for range 3 { // until it is live
					if _, _, err := w.Poll(&scratch, time.Now()); err != nil {
						b.Fatal(err)
					}
				}
			}
			var buf []byte
			rev, next := kv.Rev(0), 0
			events := make([]kv.Event, size)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%size != 0 {
					continue
				}
				for i := range events {
					rev++
					events[i] = kv.Event{Key: names[next], Entry: &kv.Entry{Mod: rev, Create: 1, Version: 2}, Last: true}
					next = (next + 7919) % keys
				}
				hub.Publish(events, kv.Position{Rev: rev})
				for got := 0; got < size; {
					w := <-t.woken
					messages, _, err := w.Poll(&scratch, time.Now())
					if err != nil {
						b.Fatal(err)
					}
					buf = buf[:0]
					for i := range messages {
						buf = watch.SSE.Append(buf, &messages[i])
					}
					got += len(messages)
				}
			}
			hub.Close()
		})
	}
}
