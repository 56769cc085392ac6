package watch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/watch"
	"keywatch/watch/watchtest"
)

// An hour is a world whose log time is the bubble's.
type hour struct {
	*world
	began time.Time
	ends  time.Time
	// last is the revision that clients are to reach, valid once over is closed.
	last kv.Rev
	over chan struct{}
}

// run runs commands in an entry of the present log time.
func (h *hour) run(commands ...*kv.Command) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = time.Since(h.began).Milliseconds()
	h.applyLocked(kv.EncodeEntry(h.now, commands...))
}

// tick has log time go on each second, as a leader does.
func (h *hour) tick() {
	for time.Now().Before(h.ends) {
		time.Sleep(time.Second)
		h.run()
	}
}

// command returns one that may delete a prefix, or change keys for a while.
func (h *hour) command(rnd *rand.Rand) *kv.Command {
	c := randomCommand(rnd)
	for i := range c.Ops {
		if op := &c.Ops[i]; op.TTL > 0 {
			op.TTL = time.Duration(1+rnd.IntN(300)) * time.Second
		}
	}
	return c
}

// write changes keys: seldom, often, or many at once.
func (h *hour) write(rnd *rand.Rand, epochs bool) {
	for time.Now().Before(h.ends) {
		switch rnd.IntN(30) {
		case 0:
			time.Sleep(time.Duration(rnd.IntN(120)) * time.Second)
		case 1:
			for range rnd.IntN(400) {
				h.run(h.command(rnd), h.command(rnd))
			}
		case 2:
			if epochs && rnd.IntN(20) == 0 {
				h.setup(kv.Setup{Epoch: kv.Epoch(1 + rnd.Uint32()), Params: h.state.Params()})
			}
		}
		time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		h.run(h.command(rnd))
	}
}

// A guest is a client that comes and goes, and stalls.
type guest struct {
	rnd   *rand.Rand
	req   watch.Request
	pos   string
	at    kv.Rev
	steps []watchtest.Step
	seen  map[watch.Kind]int
	// skipped and expired count what it was told of either.
	skipped, expired int
}

func newGuest(seed, i uint64) *guest {
	g := &guest{rnd: rand.New(rand.NewPCG(seed, i)), seen: map[watch.Kind]int{}}
	g.req = randomRequest(g.rnd)
	g.req.Mode = watch.Mode(i % 3)
	g.req.Progress = time.Duration(1+g.rnd.IntN(30)) * time.Second
	if g.req.Mode == watch.Latest && i%2 == 0 {
		g.req.Interval = time.Duration(1+g.rnd.IntN(60_000)) * time.Millisecond
	}
	return g
}

// follow lives through h and then reaches its end.
func (g *guest) follow(h *hour) {
	for {
		if g.req.From, g.req.Since = watch.FromState, g.pos; g.pos != "" {
			g.req.From = watch.FromPosition
		}
		watcher, err := h.hub.Watch(g.req)
		if err != nil {
			h.t.Error(err)
			return
		}
		g.steps = append(g.steps, watchtest.Connected(g.pos))
		stay := time.Duration(g.rnd.IntN(600)) * time.Second
		done := g.read(h, watcher, time.Now().Add(stay))
		watcher.Close()
		if done {
			return
		}
		g.sleep(h, 90)
	}
}

// sleep waits for up to seconds, or until h is over.
func (g *guest) sleep(h *hour, seconds int) {
	timer := time.NewTimer(time.Duration(g.rnd.IntN(1+seconds*1000)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.over:
	}
}

// read reads until the time has come, with stalls. It returns whether it has
// reached the end of h.
func (g *guest) read(h *hour, w *watch.Watcher, until time.Time) bool {
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	for {
		messages, err := w.Next(ctx)
		if err != nil {
			return false
		}
		for i := range messages {
			g.take(&messages[i])
		}
		select {
		case <-h.over:
			if g.at >= h.last && g.steps[len(g.steps)-1].HasAt {
				return true
			}
		default:
			if g.rnd.IntN(40) == 0 {
				g.sleep(h, 60)
			}
		}
	}
}

func (g *guest) take(m *watch.Message) {
	g.steps = append(g.steps, watchtest.StepOf(m))
	g.seen[m.Kind]++
	g.skipped += m.Skipped
	if m.Kind == watch.Delete && m.Entry.Cause() == "expired" {
		g.expired++
	}
	if m.HasAt {
		g.pos, g.at = m.At.String(), m.At.Rev
	}
}

// Without it a promise could be broken only after long: where times to live,
// intervals, heartbeats, stalls and absences of all lengths meet with a short
// memory.
func TestTwentyMinutes(t *testing.T) { anHour(t, 20*time.Minute) }

func TestProofAnHour(t *testing.T) {
	gate.Long(t)
	anHour(t, time.Hour)
}

func anHour(t *testing.T, lifetime time.Duration) {
	for _, c := range []struct {
		history    int64
		tombstones int
		epochs     bool
	}{{8 << 10, 5, false}, {64 << 10, 100, true}, {0, 100_000, false}} {
		t.Run(fmt.Sprintf("history=%d", c.history), func(t *testing.T) {
			seed := gate.Seed(t)
			synctest.Test(t, func(t *testing.T) {
				o := watch.Options{History: c.history, Mailbox: 16}
				h := &hour{world: newWorld(t, o, kv.Params{TombstoneMax: c.tombstones}), over: make(chan struct{})}
				h.live(seed, lifetime, c.epochs, c.history == 0)
				h.hub.Close()
			})
		})
	}
}

// live has writers and guests meet for a lifetime and judges what guests were told.
func (h *hour) live(seed uint64, lifetime time.Duration, epochs, ample bool) {
	h.began = time.Now()
	h.ends = h.began.Add(lifetime)
	guests := make([]*guest, 15)
	var writing, watching sync.WaitGroup
	for i := range guests {
		guests[i] = newGuest(seed, uint64(i))
		watching.Go(func() { guests[i].follow(h) })
	}
	for i := range uint64(3) {
		writing.Go(func() { h.write(rand.New(rand.NewPCG(seed, 100+i)), epochs && i == 0) })
	}
	writing.Go(h.tick)
	writing.Wait()
	h.last = h.state.Position().Rev
	close(h.over)
	watching.Wait()
	h.judgeAll(seed, guests, ample)
}

func (h *hour) judgeAll(seed uint64, guests []*guest, ample bool) {
	history := watchtest.HistoryOf(h.history)
	all, skipped, expired := map[watch.Kind]int{}, 0, 0
	for i, g := range guests {
		r := recordOf(g.req, g.steps)
		r.Latest, r.Ample = g.req.Mode == watch.Latest, ample
		if err := watchtest.Check(history, r); err != nil {
			h.t.Errorf("seed %d, client %d %+v: %v", seed, i, g.req, err)
		}
		for kind, n := range g.seen {
			all[kind] += n
		}
		skipped, expired = skipped+g.skipped, expired+g.expired
	}
	h.t.Logf("%d revisions, %d skipped, %d expired, %v", h.last, skipped, expired, all)
	if skipped == 0 || expired == 0 || all[watch.Progress] == 0 || (all[watch.Resync] == 0) != ample || all[watch.Reset] == 0 {
		h.t.Errorf("seed %d: something did not happen", seed)
	}
}
