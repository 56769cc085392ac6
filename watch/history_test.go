package watch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/watch"
	"keywatch/watch/watchtest"
)

var keySpace = []string{"a", "a/1", "a/2", "a/b/1", "b", "b/1", "b/2", "c/1", "c/2", "c/3", "é"}

// randomCommand returns one that may change several keys, or nothing.
func randomCommand(rnd *rand.Rand) *kv.Command {
	if rnd.IntN(20) == 0 {
		prefix := []string{"a/", "b", "c/"}[rnd.IntN(3)]
		return &kv.Command{Prefix: &prefix}
	}
	var ops []kv.Op
	for _, i := range rnd.Perm(len(keySpace))[:1+rnd.IntN(4)] {
		op := put(keySpace[i], fmt.Sprint(rnd.IntN(1000)))
		switch rnd.IntN(5) {
		case 0:
			op = del(keySpace[i])
		case 1:
			op.TTL = time.Duration(1+rnd.IntN(50)) * time.Millisecond
		}
		ops = append(ops, op)
	}
	return batch(ops...)
}

// write runs n log entries of a few commands each, and now and then begins a
// new epoch if it may.
func (w *world) write(rnd *rand.Rand, n int, epochs bool) {
	for i := range n {
		var commands []*kv.Command
		for range 1 + rnd.IntN(4) {
			commands = append(commands, randomCommand(rnd))
		}
		w.do(commands...)
		switch {
		case rnd.IntN(10) == 0:
			w.pass(time.Duration(rnd.IntN(20)) * time.Millisecond)
		case epochs && i%200 == 150:
			w.setup(kv.Setup{Epoch: kv.Epoch(1 + rnd.Uint32()), Params: w.state.Params()})
		}
		for range rnd.IntN(30) {
			runtime.Gosched()
		}
	}
}

func randomRequest(rnd *rand.Rand) watch.Request {
	return []watch.Request{
		{Prefixes: []string{""}},
		{Keys: []string{"a", "b/1", "c/3"}},
		{Prefixes: []string{"a/", "b"}},
		{Keys: []string{"a", "é"}, Prefixes: []string{"a/b/", "c/"}},
		{Keys: []string{"a/1"}},
	}[rnd.IntN(5)]
}

// follow watches with r, coming and going, until it has reached the revision
// sent on last. It returns the positions seen and what it was told.
func (w *world) follow(rnd *rand.Rand, r watch.Request, last <-chan kv.Rev) (steps []watchtest.Step) {
	var until kv.Rev
	pos := ""
	for {
		if pos != "" {
			r.From, r.Since = watch.FromPosition, pos
		}
		watcher, err := w.hub.Watch(r)
		if err != nil {
			w.t.Error(err)
			return nil
		}
		steps = append(steps, watchtest.Connected(pos))
		for range 1 + rnd.IntN(60) {
			for range rnd.IntN(200) {
				runtime.Gosched()
			}
			messages, err := watcher.Next(context.Background())
			if err != nil {
				w.t.Error(err)
			}
			for i := range messages {
				steps = append(steps, watchtest.StepOf(&messages[i]))
				if messages[i].HasAt {
					pos = messages[i].At.String()
				}
			}
			select {
			case until = <-last:
			default:
			}
			if end := steps[len(steps)-1]; until > 0 && end.HasAt && end.At.Rev >= until {
				watcher.Close()
				return steps
			}
		}
		watcher.Close()
	}
}

// run has writers and clients meet at random and returns what each client asked
// for and was told.
func (w *world) run(seed uint64, clients, writers, entries int, epochs bool) ([]watch.Request, [][]watchtest.Step) {
	requests, told := make([]watch.Request, clients), make([][]watchtest.Step, clients)
	ends := make([]chan kv.Rev, clients)
	var watching, writing sync.WaitGroup
	for i := range clients {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		requests[i], ends[i] = randomRequest(rnd), make(chan kv.Rev, 1)
		requests[i].Progress = time.Millisecond
		watching.Go(func() { told[i] = w.follow(rnd, requests[i], ends[i]) })
	}
	for i := range writers {
		rnd := rand.New(rand.NewPCG(seed, uint64(1000+i)))
		writing.Go(func() { w.write(rnd, entries/writers, epochs && i == 0) })
	}
	writing.Wait()
	for _, end := range ends {
		end <- w.state.Position().Rev
	}
	watching.Wait()
	return requests, told
}

// Without it any of the promises about a stream could be broken where writers,
// a tiny history, forgotten deletions, new epochs and clients that come and go
// meet.
func TestRandomHistories(t *testing.T) {
	for i, o := range []watch.Options{{History: 2 << 10}, {History: 20 << 10}, {}} {
		for _, epochs := range []bool{false, true} {
			t.Run(fmt.Sprintf("history=%d/epochs=%v", o.History, epochs), func(t *testing.T) {
				seed := gate.Seed(t)
				w := newWorld(t, o, kv.Params{TombstoneMax: []int{3, 20, 1000}[i]})
				requests, told := w.run(seed, 8, 4, 800, epochs)
				for i := range told {
					if err := w.judge(requests[i], told[i]); err != nil {
						t.Errorf("seed %d, client %d %+v: %v", seed, i, requests[i], err)
					}
				}
			})
		}
	}
}

// Without it a watcher in mode latest could end up with other keys than there
// are, or be told of an older version after a newer one.
func TestLatestConverges(t *testing.T) {
	for _, history := range []int64{2 << 10, 20 << 10} {
		seed := gate.Seed(t)
		w := newWorld(t, watch.Options{History: history}, kv.Params{TombstoneMax: 3})
		ends := make([]chan kv.Rev, 8)
		records := make([]watchtest.Record, len(ends))
		var watching sync.WaitGroup
		for i := range ends {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			r := watch.Request{Prefixes: []string{""}, Mode: watch.Latest, Progress: time.Millisecond}
			if i%2 == 1 {
				r.Interval = 100 * time.Microsecond
			}
			ends[i] = make(chan kv.Rev, 1)
			watching.Go(func() {
				records[i] = watchtest.Record{Prefixes: r.Prefixes, Latest: true, Steps: w.follow(rnd, r, ends[i])}
			})
		}
		w.write(rand.New(rand.NewPCG(seed, 99)), 1000, false)
		for _, end := range ends {
			end <- w.state.Position().Rev
		}
		watching.Wait()
		for i := range records {
			if err := watchtest.Check(watchtest.HistoryOf(w.history), records[i]); err != nil {
				t.Errorf("seed %d, client %d: %v", seed, i, err)
			}
		}
	}
}

// Without it a change could fall between what a watcher reads from the ring
// alone and what the dispatcher brings it.
func TestNoGapWhereWatchersBecomeLive(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	// So much is read in one piece just before the watcher becomes live.
	others := make([]*kv.Command, 4000)
	for i := range others {
		others[i] = batch(put("other", "x"))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 30 {
		key := fmt.Sprintf("rare/%d", i)
		r := w.watch(watch.Request{Keys: []string{key}, From: watch.FromLive, Progress: 20 * time.Millisecond})
		w.do(others...)
		last := w.state.Position().Rev
		delay := rnd.IntN(1000)
		var writing sync.WaitGroup
		writing.Go(func() {
			for range delay {
				runtime.Gosched()
			}
			w.put(key, "x")
		})
		for m := r.next(); m.Kind != watch.Put; m = r.next() {
			if m.At.Rev > last {
				t.Fatalf("got %v at %d without %s", m.Kind, m.At.Rev, key)
			}
		}
		writing.Wait()
		r.watcher.Close()
	}
}

// Without it a client that reconnects while the ring drops what it needs could
// be let in with a gap.
func TestResumeWhileHistoryMoves(t *testing.T) {
	w := newWorld(t, watch.Options{History: 20 << 10}, kv.Params{})
	commands := make([]*kv.Command, 120) // about what history holds
	for i := range commands {
		commands[i] = batch(put("k", "v"))
	}
	w.do(commands...)
	done := make(chan struct{}) // closed when there was enough
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				w.do(commands...)
			}
		}
	})
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		at := w.state.Position()
		at.Rev -= kv.Rev(rnd.IntN(len(commands) - 1))
		r := w.watch(watch.Request{Keys: []string{"k"}, From: watch.FromPosition, Since: at.String()})
		if m := r.next(); m.Kind == watch.Put && m.Entry.Mod != at.Rev+1 {
			t.Fatalf("got revision %d after %d", m.Entry.Mod, at.Rev)
		}
		r.watcher.Close()
	}
	close(done)
	writing.Wait()
}
