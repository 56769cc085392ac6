package watch_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/watch"
)

// A world is a state that is driven without a log, the hub that watches it,
// and all that ever happened in it.
type world struct {
	t     testing.TB
	hub   *watch.Hub
	state *kv.State

	mu      sync.Mutex
	index   uint64
	now     int64
	history []kv.Event
	// late, if set, keeps what is published from the hub until told is called.
	late bool
	kept []kept
	// sabotage, if set, stands between the state and the hub; published counts
	// its calls.
	sabotage  func(hub *watch.Hub, n int, events []kv.Event, at kv.Position)
	published int
}

type kept struct {
	events []kv.Event
	at     kv.Position
}

// tee notes what is published before the hub hears of it.
type tee struct{ w *world }

func (p tee) Publish(events []kv.Event, at kv.Position) {
	p.w.history = append(p.w.history, events...)
	if p.w.late {
		p.w.kept = append(p.w.kept, kept{slices.Clone(events), at})
		return
	}
	if p.w.sabotage != nil {
		p.w.published++
		p.w.sabotage(p.w.hub, p.w.published, events, at)
		return
	}
	p.w.hub.Publish(events, at)
}

func (p tee) Reset(at kv.Position) { p.w.hub.Reset(at) }

func newWorld(t testing.TB, o watch.Options, p kv.Params) *world {
	t.Helper()
	w := &world{t: t, hub: watch.New(o)}
	w.state = kv.NewState(kv.StateOptions{Publisher: tee{w}, Presize: 256})
	w.hub.Bind(w.state)
	t.Cleanup(w.hub.Close)
	w.setup(kv.Setup{Epoch: 0x7f3a9c21, Params: p})
	return w
}

func (w *world) setup(u kv.Setup) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b kv.EntryBuilder
	b.AddSetup(u)
	w.applyLocked(b.Finish(w.now))
}

func (w *world) applyLocked(entry []byte) []kv.Result {
	w.index++
	results, err := w.state.Apply(w.index, 1, entry)
	if err != nil {
		w.t.Error(err)
	}
	return results
}

// told tells the hub what was kept from it.
func (w *world) told() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.kept {
		w.hub.Publish(k.events, k.at)
	}
	w.late, w.kept = false, nil
}

// do runs each command in a revision of its own, all in one log entry.
func (w *world) do(commands ...*kv.Command) []kv.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.applyLocked(kv.EncodeEntry(w.now, commands...))
}

// pass lets log time go by.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now += d.Milliseconds()
	w.applyLocked(kv.EncodeEntry(w.now))
}

func put(key, value string) kv.Op { return kv.Op{Kind: kv.OpPut, Key: key, Value: []byte(value)} }

func del(key string) kv.Op { return kv.Op{Kind: kv.OpDelete, Key: key} }

func batch(ops ...kv.Op) *kv.Command { return &kv.Command{Ops: ops} }

func (w *world) put(key, value string) { w.do(batch(put(key, value))) }

func (w *world) watch(r watch.Request) *reader {
	w.t.Helper()
	watcher, err := w.hub.Watch(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(watcher.Close)
	return &reader{t: w.t, watcher: watcher}
}

// A reader takes messages one at a time, as lines of NDJSON.
type reader struct {
	t       testing.TB
	watcher *watch.Watcher
	pending []watch.Message
}

func (r *reader) next() watch.Message {
	r.t.Helper()
	for len(r.pending) == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		messages, err := r.watcher.Next(ctx)
		cancel()
		if err != nil {
			r.t.Fatal(err)
		}
		r.pending = append(r.pending, messages...)
	}
	m := r.pending[0]
	r.pending = r.pending[1:]
	return m
}

// want fails unless the next messages are these lines.
func (r *reader) want(lines ...string) {
	r.t.Helper()
	for _, want := range lines {
		m := r.next()
		if got := string(watch.NDJSON.Append(nil, &m)); got != want+"\n" {
			r.t.Fatalf("got  %swant %s", got, want)
		}
	}
}

// quiet fails if there is something to tell. It is for a synctest bubble,
// where waiting in vain takes no time.
func (r *reader) quiet(d time.Duration) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	messages, err := r.watcher.Next(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || len(r.pending) > 0 {
		r.t.Fatalf("got %v, %v, want silence", messages, err)
	}
}
