package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"keywatch/test/gate"
	"keywatch/test/load"
)

const (
	// patience is when a client gives up a request and asks another node.
	patience = 1500 * time.Millisecond
	// silence is when a watcher leaves a node of which it hears nothing: some heartbeats.
	silence = time.Second
	// calm is the time before a nemesis strikes, and after it has ended.
	calm = 300 * time.Millisecond
	// equalMax is how long after all has healed nodes may differ.
	equalMax = 10 * time.Second
)

// A history is the work of clients on keys of their own while a nemesis is at work.
type history struct {
	c       *cluster
	seed    uint64
	prefix  string
	to      load.Target
	nemesis nemesis

	audience *load.Audience
	rec      *load.Recorder
	counter  *counter
	mortals  *mortals
	pulse    *pulse
	tenants  []*tenant // none, as a rule

	// entries is what all nodes hold in the end, equal how long it took until they did.
	entries map[string]load.Entry
	equal   time.Duration
	end     int // the counter
}

// newHistory returns one with a seed of its own.
func newHistory(c *cluster, n nemesis, seed uint64) *history {
	h := &history{c: c, seed: seed, prefix: fmt.Sprintf("h%x/", seed), to: c.any(seed), nemesis: n, rec: load.NewRecorder(), pulse: new(pulse)}
	h.audience = &load.Audience{
		To: h.to, Seed: seed, Prefix: h.prefix + "w/", Watchers: 6, Pace: 10 * time.Millisecond, Patience: patience, Silence: silence,
	}
	h.counter = &counter{to: h.to, key: h.prefix + "counter", lock: fmt.Sprintf("h%x", seed), patience: patience}
	h.mortals = &mortals{c: c, to: h.to, prefix: h.prefix + "ttl/", patience: patience, fast: max(1, n.fast)}
	return h
}

// run has clients work while the nemesis strikes and heals, and fails t where what they were
// told cannot be.
func (h *history) run(t testing.TB) {
	t.Helper()
	h.c.did("history %x: %s", h.seed, h.nemesis.name)
	h.audience.Meet(t, func() { h.during(t) })
	h.entries, h.equal = h.c.converge(t, h.prefix)
	h.end, _ = strconv.Atoi(h.entries[h.counter.key].Value)
	r, err := h.c.roster()
	if err == nil {
		err = r.differ()
	}
	if err != nil {
		t.Errorf("%s, seed %d: %v", h.nemesis.name, h.seed, err)
	}
	for _, err := range h.judge() {
		t.Errorf("%s, seed %d: %v", h.nemesis.name, h.seed, err)
	}
	h.audience.Check(quiet{t}, !h.nemesis.forgets)
	load.Of(t, h.to, 0).Must(t, load.Call{Method: "DELETE", Path: "/v1/kv?all=1&prefix=" + h.prefix}, 200)
	t.Logf("%s: %v, counted to %d (%d refused), %d keys expired, no write for %v at most, equal after %v", h.nemesis.name,
		h.rec.Counts(), h.counter.mu.added, h.counter.mu.fenced, len(h.mortals.mu.keys), h.pulse.longest().Round(time.Millisecond), h.equal.Round(time.Millisecond))
}

// quiet leaves out what a test logs on the way.
type quiet struct{ testing.TB }

// Logf implements testing.TB.
func (quiet) Logf(string, ...any) {}

// during has all other clients work until the cluster is healed.
func (h *history) during(t testing.TB) {
	hard := gate.Context(t)
	ctx, cancel := context.WithCancel(hard)
	defer cancel()
	watching, unwatch := context.WithCancel(hard)
	defer unwatch()
	var running, looking sync.WaitGroup
	for id := range 5 {
		w := h.worker(t, id)
		running.Go(func() { w.Run(ctx, hard) })
	}
	for id := range 2 {
		running.Go(func() { h.counter.hold(ctx, hard, t, h.seed, id) })
	}
	running.Go(func() { h.mortals.write(ctx, hard, t, h.seed) })
	running.Go(func() { h.wait(ctx, hard, t) })
	for _, k := range h.tenants {
		running.Go(func() {
			if err := k.keep(ctx, hard); err != nil {
				t.Error(err)
			}
		})
	}
	looking.Go(func() { h.mortals.watch(watching, t) })
	looking.Go(func() { h.pulse.follow(watching, h.c, h.prefix+"pulse/") })
	h.weather(t)
	cancel()
	running.Wait()
	gate.Until(t, h.mortals.gone, "keys do not expire: %v", func() string { return fmt.Sprint(h.mortals.judge(h.pulse.leaderless)) })
	unwatch()
	looking.Wait()
}

// weather has the nemesis strike and heal.
func (h *history) weather(t testing.TB) {
	rng := rand.New(rand.NewPCG(h.seed, 2))
	lasts(t, calm)
	heal := h.nemesis.strike(t, h.c, rng)
	d := time.Duration(700+rng.IntN(1500)) * time.Millisecond
	if h.nemesis.lasts != 0 {
		d = h.nemesis.lasts
	}
	lasts(t, d)
	heal()
	h.c.awaitReady(t)
	lasts(t, calm)
}

// worker returns a client whose requests must be linearizable.
func (h *history) worker(t testing.TB, id int) *load.Worker {
	return &load.Worker{
		ID: id, Rec: h.rec, To: h.to, HTTP: load.Of(t, h.to, patience), Retry: id%2 == 0, One: true, Pause: 20 * time.Millisecond,
		Work: &load.Workload{Rand: rand.New(rand.NewPCG(h.seed, uint64(10+id))), Name: fmt.Sprintf("%x.%d", h.seed, id), Keys: 4, Prefix: h.prefix},
	}
}

// judge returns what cannot be in what clients were told, but for watchers.
func (h *history) judge() (wrong []error) {
	add := func(err error) {
		if err != nil {
			wrong = append(wrong, err)
		}
	}
	add(h.rec.Err())
	if got := load.JudgeByKey(h.rec.Ops()); got != porcupine.Ok {
		add(fmt.Errorf("not linearizable: %v", got))
	}
	add(missing(h.audience.Held(), h.under("w/")))
	add(h.counter.judge(h.end))
	add(h.mortals.judge(h.pulse.leaderless))
	if gate.Proving() && h.equal > equalMax {
		add(fmt.Errorf("the nodes were equal %v after all was healed, want %v", h.equal, equalMax))
	}
	return wrong
}

// under returns the entries under a part of the prefix.
func (h *history) under(part string) map[string]load.Entry {
	list := make(map[string]load.Entry)
	for key, e := range h.entries {
		if strings.HasPrefix(key, h.prefix+part) {
			list[key] = e
		}
	}
	return list
}

// lasts returns after d, the time for which a load is to run: what is under test are other
// processes, whose clocks cannot be turned.
func lasts(t testing.TB, d time.Duration) { rest(t.Context(), d) }
