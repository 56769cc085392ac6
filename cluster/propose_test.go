package cluster_test

import (
	"errors"
	"fmt"
	"testing"

	"keywatch/kv"
)

// If commands that were begun one after the other were applied in another order,
// the last of a client's pipelined writes would not be the one that stays.
func TestBeginKeepsOrder(t *testing.T) {
	g := newDoor(nil)
	opts := memory()
	opts.Log = g
	n := open(t, opts)
	store := kv.NewStore(opts.State, n, kv.Limits{})
	mustPropose(t, n, put("a", "first", 0))
	g.shut()
	var pending []kv.Pending
	for i := range 2000 { // more than one log entry holds
		p, err := store.Begin(t.Context(), put("a", fmt.Sprint(i), 0))
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	select {
	case <-pending[0].Done():
		t.Error("a result is known before the log was written")
	default:
	}
	g.reopen(nil)
	last := kv.Rev(1)
	for i, p := range pending {
		<-p.Done()
		r, err := p.Result()
		if err != nil || r.Rev != last+1 {
			t.Fatalf("command %d: got revision %d, %v, want %d", i, r.Rev, err, last+1)
		}
		last = r.Rev
	}
	if e, _ := opts.State.Get("a"); e == nil || e.Value() != "1999" {
		t.Errorf("got %v, want the last write to stay", e)
	}
	if _, err := store.Begin(t.Context(), put("/", "", 0)); !errors.Is(err, kv.ErrBadKey) {
		t.Errorf("got %v, want %v", err, kv.ErrBadKey)
	}
	p, err := store.Begin(t.Context(), &kv.Command{Ops: []kv.Op{{Kind: kv.OpGet, Key: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if r, err := p.Result(); err != nil || r.Ops[0].Entry.Value() != "1999" {
		t.Errorf("a read: got %v, %v", r, err)
	}
}
