package watch_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"keywatch/kv"
	"keywatch/watch"
)

// collector keeps events that a state made, to publish them again.
type collector struct{ events []kv.Event }

func (c *collector) Publish(events []kv.Event, _ kv.Position) { c.events = append(c.events, events...) }

func (c *collector) Reset(kv.Position) {}

// someEvents returns the events of n puts of 100 bytes to 1,000 keys.
func someEvents(b *testing.B, n int) []kv.Event {
	b.Helper()
	c := &collector{}
	s := kv.NewState(kv.StateOptions{Publisher: c})
	commands := make([]*kv.Command, n)
	for i := range commands {
		commands[i] = batch(put(fmt.Sprintf("sensors/%d", i%1000), fmt.Sprintf("%0100d", i)))
	}
	if _, err := s.Apply(1, 1, kv.EncodeEntry(0, commands...)); err != nil {
		b.Fatal(err)
	}
	return c.events
}

// BenchmarkPublish is the cost of one event to the goroutine that applies, in
// entries of 16 revisions.
func BenchmarkPublish(b *testing.B) {
	for _, watchers := range []int{0, 1, 1000} {
		b.Run(fmt.Sprintf("watchers=%d", watchers), func(b *testing.B) {
			events := someEvents(b, 1<<14)
			hub := watch.New(watch.Options{})
			hub.Bind(kv.NewState(kv.StateOptions{}))
			var wait sync.WaitGroup
			for i := range watchers {
				w, err := hub.Watch(watch.Request{Keys: []string{fmt.Sprintf("sensors/%d", i)}, From: watch.FromLive})
				if err != nil {
					b.Fatal(err)
				}
				defer w.Close()
				wait.Go(func() {
					for {
						if _, err := w.Next(context.Background()); err != nil {
							return
						}
					}
				})
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if n%16 == 0 {
					i := n % len(events)
					hub.Publish(events[i:i+16], kv.Position{Rev: events[i+15].Entry.Mod})
				}
				n++
			}
			b.StopTimer()
			hub.Close()
			wait.Wait()
		})
	}
}

// BenchmarkEncode is the cost of writing one event for one more watcher
// (shared) and for one that comes too late to share.
func BenchmarkEncode(b *testing.B) {
	for _, late := range []bool{false, true} {
		b.Run(fmt.Sprintf("late=%v", late), func(b *testing.B) {
			events := someEvents(b, 1000)
			history := int64(1 << 20)
			if late {
				history = 1 << 18
			}
			hub := watch.New(watch.Options{History: history})
			defer hub.Close()
			hub.Bind(kv.NewState(kv.StateOptions{}))
			w, err := hub.Watch(watch.Request{Prefixes: []string{""}, From: watch.FromLive})
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			if _, err := w.Next(context.Background()); err != nil {
				b.Fatal(err)
			}
			hub.Publish(events[:800], kv.Position{Rev: 800})
			messages, err := w.Next(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			m := messages[0]
			buf := watch.SSE.Append(nil, &m)
			b.ReportAllocs()
			for b.Loop() {
				buf = watch.SSE.Append(buf[:0], &m)
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

// BenchmarkDeliver is the time from the publication of 16 revisions until 100
// watchers have them, encoded.
func BenchmarkDeliver(b *testing.B) {
	const watchers, burst = 100, 16
	events := someEvents(b, 1<<14)
	hub := watch.New(watch.Options{})
	hub.Bind(kv.NewState(kv.StateOptions{}))
	var wait, pending sync.WaitGroup
	for range watchers {
		w, err := hub.Watch(watch.Request{Prefixes: []string{"sensors/"}, From: watch.FromLive})
		if err != nil {
			b.Fatal(err)
		}
		defer w.Close()
		wait.Go(func() {
			var buf []byte
			for {
				messages, err := w.Next(context.Background())
				if err != nil {
					return
				}
				buf = buf[:0]
				for i := range messages {
					buf = watch.SSE.Append(buf, &messages[i])
					if messages[i].Kind == watch.Put {
						pending.Done()
					}
				}
			}
		})
	}
	n := 0
	for b.Loop() {
		i := n * burst % len(events)
		if i == 0 && n > 0 { // revisions must grow: begin again with a new history
			b.StopTimer()
			events = later(events)
			b.StartTimer()
		}
		pending.Add(watchers * burst)
		hub.Publish(events[i:i+burst], kv.Position{Rev: events[i+burst-1].Entry.Mod})
		pending.Wait()
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*watchers*burst), "ns/delivery")
	hub.Close()
	wait.Wait()
}

// later returns events like those, as if they had happened after them.
func later(events []kv.Event) []kv.Event {
	shift := events[len(events)-1].Entry.Mod
	for i, e := range events {
		events[i].Entry = &kv.Entry{Mod: e.Entry.Mod + shift, Create: e.Entry.Create, Version: e.Entry.Version}
	}
	return events
}
