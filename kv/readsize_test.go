package kv_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

func get(key string) kv.Op { return kv.Op{Kind: kv.OpGet, Key: key} }

// If this failed, a command of some bytes could have the server build an answer of a
// gigabyte.
func TestWhatGetsReturnIsBounded(t *testing.T) {
	state := kv.NewState(kv.StateOptions{Presize: 64})
	log, err := kvtest.NewDirect(state, 7, kv.Params{})
	if err != nil {
		t.Fatal(err)
	}
	store := kv.NewStore(state, log, kv.Limits{Value: 100, Command: 250})
	must := func(ops ...kv.Op) kv.Result {
		t.Helper()
		r, err := store.Do(t.Context(), &kv.Command{Ops: ops})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	must(kvtest.Put("a", strings.Repeat("a", 100)))
	refused := func(what string, c kv.Command) {
		t.Helper()
		before := state.Position()
		if _, err := store.Do(t.Context(), &c); !errors.Is(err, kv.ErrBatchTooLarge) {
			t.Errorf("%s: got %v, want %v", what, err, kv.ErrBatchTooLarge)
		}
		p, err := store.Begin(t.Context(), &c)
		if err == nil {
			_, err = p.Result()
		}
		if !errors.Is(err, kv.ErrBatchTooLarge) {
			t.Errorf("%s, begun: got %v, want %v", what, err, kv.ErrBatchTooLarge)
		}
		if state.Position() != before {
			t.Errorf("%s took a revision", what)
		}
	}
	must(get("a"), get("a"), get("none"))
	must(kvtest.Put("p", "1"), get("a"), get("a"), get("p"))
	must(kv.Op{Kind: kv.OpDelete, Key: "a2"}, get("a2"), get("a"), get("a"))
	refused("gets alone", kv.Command{Ops: []kv.Op{get("a"), get("a"), get("a")}})
	refused("gets beside a put", kv.Command{Ops: []kv.Op{kvtest.Put("p", "1"), get("a"), get("a"), get("a")}})
	refused("gets of what is put", kv.Command{Ops: []kv.Op{kvtest.Put("q", strings.Repeat("q", 90)), get("q"), get("q"), get("q")}})
	refused("gets of else", kv.Command{
		Checks: []kv.Check{kvtest.Value("none", "x")}, Ops: []kv.Op{kvtest.Put("p", "1")},
		HasElse: true, Else: []kv.Op{kvtest.Put("p", "2"), get("a"), get("a"), get("a")},
	})
	if got, cold := store.ReadSize(&kv.Command{Ops: []kv.Op{kvtest.Put("p", "12"), get("p"), get("a")}}); got != 102 || cold != 0 {
		t.Errorf("got %d bytes to be read, want 102", got)
	}
}

// A growing is a log that has a value grow just before a command is applied.
type growing struct{ *kvtest.Direct }

func (l growing) Propose(ctx context.Context, c *kv.Command) (kv.Result, error) {
	grown := kv.Command{Ops: []kv.Op{kvtest.Put("a", strings.Repeat("a", 200))}}
	if _, err := l.Direct.Propose(ctx, &grown); err != nil {
		return kv.Result{}, err
	}
	return l.Direct.Propose(ctx, c)
}

// If this failed, values that grew after a command was let in would be returned however
// large they have become.
func TestValuesThatGrewAreLeftOut(t *testing.T) {
	state := kv.NewState(kv.StateOptions{Presize: 64})
	log, err := kvtest.NewDirect(state, 7, kv.Params{})
	if err != nil {
		t.Fatal(err)
	}
	store := kv.NewStore(state, growing{log}, kv.Limits{Value: 300, Command: 450})
	r, err := store.Do(t.Context(), &kv.Command{Ops: []kv.Op{kvtest.Put("p", "1"), get("p"), get("a"), get("a"), get("a")}})
	if err != nil || r.Outcome != kv.Committed {
		t.Fatalf("got %+v, %v", r, err)
	}
	for i, want := range []bool{false, false, false, false, true} {
		if r.Ops[i].NoValue != want {
			t.Errorf("operation %d: got NoValue %v, want %v", i, r.Ops[i].NoValue, want)
		}
	}
}
