package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/test/gate"
)

// A call is one operation on one key as its caller saw it.
type call struct {
	key   string
	kind  string // "get", "put", "cas" or "delete"
	value string
	rev   kv.Rev // what cas expects
}

type outcome struct {
	value string
	rev   kv.Rev // 0: the key is absent, or the delete found nothing
	ok    bool   // the cas succeeded
}

type register struct {
	value string
	rev   kv.Rev // 0: absent
}

// registers models each key as a register with revisions and compare-and-swap.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		byKey := make(map[string][]porcupine.Operation)
		for _, op := range history {
			key := op.Input.(call).key
			byKey[key] = append(byKey[key], op)
		}
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return register{} },
	Step: func(state, input, output any) (bool, any) {
		return step(state.(register), input.(call), output.(outcome))
	},
}

// step says whether c on r can have outcome o, and what r is then.
func step(r register, c call, o outcome) (bool, register) {
	next := register{c.value, o.rev}
	same := o.rev == r.rev && o.value == r.value
	switch {
	case c.kind == "put":
		return o.rev > r.rev, next
	case c.kind == "cas" && o.ok:
		return c.rev == r.rev && o.rev > r.rev, next
	case c.kind == "cas":
		return c.rev != r.rev && same, r
	case c.kind == "delete" && o.rev == 0:
		return r.rev == 0, r
	case c.kind == "delete":
		return r.rev != 0 && o.rev > r.rev, register{}
	}
	return same, r
}

// doer is what a client needs of a store.
type doer interface {
	Do(context.Context, *kv.Command) (kv.Result, error)
	Get(context.Context, string) (*kv.Entry, kv.Position, error)
}

// perform runs c on store.
func perform(store doer, c call) (o outcome, err error) {
	ctx := context.Background()
	cmd := &kv.Command{Ops: []kv.Op{kvtest.Put(c.key, c.value)}}
	switch c.kind {
	case "get":
		e, _, err := store.Get(ctx, c.key)
		return seen(e), err
	case "delete":
		cmd.Ops[0] = kvtest.Delete(c.key)
	case "cas":
		cmd.Checks = []kv.Check{kvtest.Revision(c.key, c.rev)}
	}
	r, err := store.Do(ctx, cmd)
	if err != nil {
		return o, err
	}
	if r.Outcome == kv.CheckFailed {
		return seen(r.Current), nil
	}
	return outcome{rev: r.Rev, ok: true}, nil
}

func seen(e *kv.Entry) outcome {
	if e == nil {
		return outcome{}
	}
	return outcome{value: e.Value(), rev: e.Mod}
}

// A history records what clients did, for the checker.
type history struct {
	sync.Mutex
	start time.Time
	ops   []porcupine.Operation
}

func (h *history) run(store doer, client int, c call) (outcome, error) {
	begin := time.Since(h.start)
	o, err := perform(store, c)
	end := time.Since(h.start)
	if err != nil {
		return o, err
	}
	h.Lock()
	defer h.Unlock()
	h.ops = append(h.ops, porcupine.Operation{
		ClientId: client, Input: c, Output: o, Call: int64(begin), Return: int64(end),
	})
	return o, nil
}

// client does random operations, its compare-and-swaps on what it saw last.
func (h *history) client(t *testing.T, store doer, id int, seed uint64) {
	r := rand.New(rand.NewPCG(seed, uint64(id)))
	saw := make(map[string]kv.Rev)
	kinds := []string{"get", "get", "put", "cas", "cas", "delete"}
	for i := range 120 {
		key := fmt.Sprint("k", r.IntN(3))
		c := call{key: key, kind: kinds[r.IntN(len(kinds))], value: fmt.Sprint(id, "-", i), rev: saw[key]}
		o, err := h.run(store, id, c)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			return
		}
		saw[key] = o.rev
		if c.kind == "delete" {
			saw[key] = 0
		}
	}
}

// Reads and writes of a key through a node must be linearizable.
func TestNodeIsLinearizable(t *testing.T) {
	opts := memory()
	n := open(t, opts)
	store := kv.NewStore(opts.State, n, kv.Limits{})
	seed := gate.Seed(t)
	h := &history{start: time.Now()}
	var wg sync.WaitGroup
	for id := range 6 {
		wg.Go(func() { h.client(t, store, id, seed) })
	}
	wg.Wait()
	if !porcupine.CheckOperations(registers, h.ops) {
		t.Errorf("seed %d: the history of %d operations is not linearizable", seed, len(h.ops))
	}
}

// stale is a broken store: a read shows the key as it was one read ago.
type stale struct {
	doer
	last map[string]*kv.Entry
}

func (s stale) Get(ctx context.Context, key string) (*kv.Entry, kv.Position, error) {
	e, at, err := s.doer.Get(ctx, key)
	e, s.last[key] = s.last[key], e
	return e, at, err
}

// lax is a broken store: it swaps without comparing.
type lax struct{ doer }

func (l lax) Do(ctx context.Context, c *kv.Command) (kv.Result, error) {
	return l.doer.Do(ctx, &kv.Command{Ops: c.Ops})
}

// The checker must find stale reads and swaps that did not compare.
func TestCheckerFindsBrokenStores(t *testing.T) {
	calls := []call{
		{"k", "put", "1", 0}, {"k", "get", "", 0}, {"k", "put", "2", 0}, {"k", "get", "", 0},
		{"k", "cas", "3", 1}, {"k", "get", "", 0},
	}
	for _, c := range []struct {
		name string
		fail func(doer) doer
		want bool
	}{
		{"sound", func(d doer) doer { return d }, true},
		{"stale", func(d doer) doer { return stale{d, make(map[string]*kv.Entry)} }, false},
		{"lax", func(d doer) doer { return lax{d} }, false},
	} {
		opts := memory()
		store := c.fail(kv.NewStore(opts.State, open(t, opts), kv.Limits{}))
		h := &history{start: time.Now()}
		for _, call := range calls {
			if _, err := h.run(store, 0, call); err != nil {
				t.Fatal(err)
			}
		}
		if got := porcupine.CheckOperations(registers, h.ops); got != c.want {
			t.Errorf("%s store: got linearizable %v, want %v", c.name, got, c.want)
		}
	}
}
