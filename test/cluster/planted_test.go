package cluster_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"keywatch/test/gate"
	"keywatch/test/load"
)

var planted = flag.Bool("planted", false, "plant faults in nodes, of which each is to be found by its judge")

// tries is how often a fault is given the chance to strike where its judge can see it.
const tries = 40

// A planting is a fault that nodes have, and the clients and the judge that find it.
type planting struct {
	name  string
	fault string
	one   bool // one node has it, not all
	// found has clients work and returns what the judge says, nil if that is nothing.
	found func(t testing.TB, h *history) error
}

var plantings = []planting{
	{name: "fences", fault: "fences that do not hold", found: fencesDoNotHold},
	{name: "retries", fault: "a request that runs again", found: requestRunsAgain},
	{name: "leases", fault: "leases that are not renewed", found: leasesEndEarly},
	{name: "TTLs", fault: "keys that end late", found: keysEndLate},
	{name: "writes", fault: "values that are lost", found: writesAreLost},
	{name: "nodes", fault: "values that are lost", one: true, found: nodesDiffer},
	{name: "outcomes", fault: "outcomes that are not known", found: outcomesAreUnknown},
}

// TestPlantedFaults: a judge that finds what a test has spoilt may yet be blind to what servers do wrong. Nodes
// with a fault of their own are found by the judge whose it is.
func TestPlantedFaults(t *testing.T) {
	if !*planted {
		t.Skip("SKIPPED: -planted plants faults in nodes; see task prove:cluster")
	}
	seed := gate.Seed(t)
	for k, p := range plantings {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := laidOut(t, 3)
			for i, n := range c.nodes {
				if n.faulty = true; !p.one || i == 0 {
					n.fault = p.fault
				}
			}
			c.startAll(t)
			for i := range uint64(tries) {
				h := newHistory(c, nemesis{name: p.name}, seed+uint64(k)*tries+i)
				if err := p.found(t, h); err != nil {
					t.Logf("found in history %d: %.300v", i+1, err)
					return
				}
			}
			t.Errorf("%s: never found", p.fault)
		})
	}
}

// work has clients work while during runs. Their requests end with hard.
func (h *history) work(t testing.TB, during func(), clients ...func(ctx, hard context.Context)) {
	hard := gate.Context(t)
	ctx, cancel := context.WithCancel(hard)
	defer cancel()
	var running sync.WaitGroup
	for _, client := range clients {
		running.Go(func() { client(ctx, hard) })
	}
	during()
	cancel()
	running.Wait()
}

// while returns what lasts for d.
func while(t testing.TB, d time.Duration) func() { return func() { lasts(t, d) } }

// fencesDoNotHold has holders of a lock write for longer than they have it.
func fencesDoNotHold(t testing.TB, h *history) error {
	var holders []func(ctx, hard context.Context)
	for id := range 3 {
		holders = append(holders, func(ctx, hard context.Context) { h.counter.hold(ctx, hard, t, h.seed, id) })
	}
	h.work(t, while(t, 4*time.Second), holders...)
	entries, _ := h.c.converge(t, h.prefix)
	end, _ := strconv.Atoi(entries[h.counter.key].Value)
	return h.counter.judge(end)
}

// requestRunsAgain has clients send again what they got no answer to.
func requestRunsAgain(t testing.TB, h *history) error {
	var workers []func(ctx, hard context.Context)
	for id := range 10 {
		w := h.worker(t, 2*id)     // those of even numbers send again
		w.Pause = time.Millisecond // many wait for an answer when the leader ends
		workers = append(workers, w.Run)
	}
	h.nemesis.strike = kill((*cluster).theLeader)
	h.work(t, func() { h.weather(t) }, workers...)
	if load.JudgeByKey(h.rec.Ops()) == porcupine.Illegal {
		return errors.New("not linearizable")
	}
	return nil
}

// leasesEndEarly has tenants renew their leases.
func leasesEndEarly(t testing.TB, h *history) error {
	k := h.c.tenants(t, 1, h.seed, nil, 1)[0] // there is a leader all the time
	h.work(t, while(t, 2*leaseTTL), func(ctx, hard context.Context) {
		if err := k.keep(ctx, hard); err != nil {
			t.Error(err)
		}
	})
	if len(k.mu.early) > 0 {
		return errors.New(k.mu.early[0])
	}
	return nil
}

// keysEndLate has keys end by their TTL.
func keysEndLate(t testing.TB, h *history) error {
	ctx, cancel := context.WithCancel(gate.Context(t))
	defer cancel()
	var watching sync.WaitGroup
	watching.Go(func() { h.mortals.watch(ctx, t) })
	watching.Go(func() { h.pulse.follow(ctx, h.c, h.prefix+"pulse/") })
	h.work(t, while(t, calm), func(ctx, hard context.Context) { h.mortals.write(ctx, hard, t, h.seed) })
	gate.Until(t, h.mortals.gone, "keys do not expire")
	cancel()
	watching.Wait()
	err := h.mortals.judge(h.pulse.leaderless)
	if err != nil && !strings.Contains(err.Error(), "late") {
		t.Errorf("got %v, want keys that end late", err)
	}
	return err
}

// writesAreLost has writers know what the nodes must hold.
func writesAreLost(t testing.TB, h *history) error {
	h.audience.Meet(t, while(t, calm))
	h.entries, _ = h.c.converge(t, h.prefix)
	return missing(h.audience.Held(), h.under("w/"))
}

// nodesDiffer has one node lose what others have. Both what it says of itself and what clients read there
// must tell.
func nodesDiffer(t testing.TB, h *history) error {
	cl := load.Of(t, h.to, 0)
	for i := range 20 {
		cl.Must(t, load.PutCall(fmt.Sprintf("%s%d", h.prefix, i), "x"), 201)
	}
	var said error
	gate.Until(t, func() bool {
		r, err := h.c.roster()
		if err == nil {
			said = r.differ()
		}
		return said != nil
	}, "no node is said to differ")
	var clients []*load.Client
	for _, n := range h.c.nodes {
		clients = append(clients, load.Of(t, at{n}, time.Second))
	}
	var read error
	gate.Until(t, func() bool {
		all, err := h.c.views(t.Context(), clients, h.prefix)
		if err == nil {
			read = differ(all)
		}
		return read != nil && strings.Contains(read.Error(), "hold")
	}, "the nodes hold the same: %v", func() string { return fmt.Sprint(read) })
	return errors.Join(said, read)
}

// outcomesAreUnknown has a client wait for each answer.
func outcomesAreUnknown(t testing.TB, h *history) error {
	h.work(t, while(t, time.Second), func(ctx, hard context.Context) { h.wait(ctx, hard, t) })
	return h.c.told.judge()
}
