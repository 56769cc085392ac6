package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/test/gate"
)

// realTeam starts three nodes in real time that elect a leader soon, and waits until all know it.
func realTeam(t *testing.T) *team {
	w := newTeam(t, func(_ int, o *cluster.Options) { o.Tick = 3 * time.Millisecond })
	t.Cleanup(w.end)
	gate.Until(t, w.ready, "three nodes take commands")
	return w
}

// ready reports whether all nodes take commands and one leads.
func (w *team) ready() bool {
	for id := 1; id <= 3; id++ {
		if w.node[id].Ready() != nil {
			return false
		}
	}
	return w.led()
}

// quickTeam returns a store at one of the nodes of a team: the leader or a follower.
func quickTeam(t *testing.T, follower bool) *kv.Store {
	w := realTeam(t)
	id := 1
	for id < 3 && w.node[id].Stats().Leader == follower {
		id++
	}
	return kv.NewStore(w.opts[id].State, w.node[id], kv.Limits{})
}

// led reports whether one of the nodes leads.
func (w *team) led() bool {
	for id := 1; id <= 3; id++ {
		if w.node[id].Stats().Leader {
			return true
		}
	}
	return false
}

// A store at any node must pass the conformance suites: what a caller sees must not depend on where
// it asks.
func TestAnyNodeConforms(t *testing.T) {
	for _, follower := range []bool{false, true} {
		t.Run(fmt.Sprintf("follower=%v", follower), func(t *testing.T) {
			kvtest.Suite(t, func(t *testing.T) kvtest.Store { return kvtest.Wrap(quickTeam(t, follower)) })
		})
	}
}

// Leases and locks must do the same at any node.
func TestAnyNodeCoordinates(t *testing.T) {
	kvtest.CoordinatorSuite(t, func(t *testing.T) kvtest.Coordinator { return kvtest.Coordinate(quickTeam(t, true)) })
}

// everywhere is a store that asks another node each time.
type everywhere struct {
	sync.Mutex
	rng    *rand.Rand
	stores []*kv.Store
}

func (e *everywhere) one() *kv.Store {
	e.Lock()
	defer e.Unlock()
	return e.stores[e.rng.IntN(len(e.stores))]
}

func (e *everywhere) Do(ctx context.Context, c *kv.Command) (kv.Result, error) {
	return e.one().Do(ctx, c)
}

func (e *everywhere) Get(ctx context.Context, key string) (*kv.Entry, kv.Position, error) {
	return e.one().Get(ctx, key)
}

// Clients that ask another node each time must see one register for each key.
func TestNodesTogetherAreLinearizable(t *testing.T) {
	seed := gate.Seed(t)
	w := realTeam(t)
	all := &everywhere{rng: rand.New(rand.NewPCG(seed, 99))}
	for id := 1; id <= 3; id++ {
		all.stores = append(all.stores, kv.NewStore(w.opts[id].State, w.node[id], kv.Limits{}))
	}
	h := &history{start: time.Now()}
	var wg sync.WaitGroup
	for id := range 6 {
		wg.Go(func() { h.client(t, all, id, seed) })
	}
	wg.Wait()
	if !porcupine.CheckOperations(registers, h.ops) {
		t.Errorf("the history of %d operations is not linearizable", len(h.ops))
	}
}

// A ledger has what became of writes, each of a key of its own.
type ledger struct {
	sync.Mutex
	fate map[string]error // nil for acknowledged
}

// Whatever the network does: what was acknowledged is there on every node, once; what was
// refused is nowhere; and no write is there twice.
func TestLedgerUnderCuts(t *testing.T) {
	counts := make(map[string]int)
	for range 3 {
		seed := gate.Seed(t)
		inTeam(t, nil, func(w *team) { keepLedger(w, seed, counts) })
	}
	for _, fate := range []error{nil, kv.ErrOutcomeUnknown, kv.ErrNoLeader} {
		if counts[fmt.Sprint(fate)] == 0 {
			t.Errorf("no write ended with %v: %v", fate, counts)
		}
	}
}

func keepLedger(w *team, seed uint64, counts map[string]int) {
	w.leader()
	l := &ledger{fate: make(map[string]error)}
	over := make(chan struct{})
	var wg sync.WaitGroup
	for client := range 6 {
		wg.Go(func() { l.write(w, client, rand.New(rand.NewPCG(seed, uint64(client))), over) })
	}
	rng := rand.New(rand.NewPCG(seed, 77))
	for range 25 {
		id := 1 + rng.IntN(3)
		w.isolate(id, true)
		time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
		if rng.IntN(5) == 0 { // no node has a majority any more, for longer than callers wait
			w.isolate(1+id%3, true)
			time.Sleep(15 * time.Second)
			w.isolate(1+id%3, false)
		}
		w.isolate(id, false)
		time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
	}
	close(over)
	wg.Wait()
	w.put(w.leader(), "end", "of all")
	for id := 1; id <= 3; id++ {
		w.has(id, "end", "of all")
		for key, err := range l.fate {
			e, _ := w.opts[id].State.Get(key)
			switch {
			case e != nil && e.Version != 1:
				w.t.Errorf("node %d: %s was written %d times", id, key, e.Version)
			case err == nil && e == nil:
				w.t.Errorf("node %d: %s was acknowledged and is not there", id, key)
			case err != nil && !errors.Is(err, kv.ErrOutcomeUnknown) && e != nil:
				w.t.Errorf("node %d: %s is there, and its caller was told %v", id, key, err)
			}
			counts[fmt.Sprint(err)]++
		}
	}
}

// write writes keys through random nodes, as a caller that waits ten seconds.
func (l *ledger) write(w *team, client int, rng *rand.Rand, over chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(rng.IntN(100)) * time.Millisecond):
		}
		key := fmt.Sprintf("ledger/%d/%d", client, i)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_, err := w.node[1+rng.IntN(3)].Propose(ctx, put(key, "x", 0))
		cancel()
		l.Lock()
		l.fate[key] = err
		l.Unlock()
	}
}
