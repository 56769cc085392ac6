package heap_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"keywatch/kv/heap"
	"keywatch/test/gate"
)

// An item knows where it is.
type item struct{ key, at int }

// If this failed, something would come before what is due earlier, or an element that
// is fixed or removed would be another than the one meant.
func TestHeapAgainstASortedSlice(t *testing.T) {
	seed := gate.Seed(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	h := heap.New(func(a, b *item) bool { return a.key < b.key }, func(x *item, at int) { x.at = at })
	var all []*item
	least := func() *item {
		return slices.MinFunc(all, func(a, b *item) int { return a.key - b.key })
	}
	drop := func(x *item) { all = slices.DeleteFunc(all, func(y *item) bool { return x == y }) }
	for range 3000 {
		switch op := rng.IntN(6); {
		case op < 2 || len(all) == 0:
			x := &item{key: rng.IntN(50), at: -1}
			all = append(all, x)
			h.Push(x)
		case op == 2:
			want, got := least().key, h.Pop()
			if got.key != want || got.at != -1 {
				t.Fatalf("pop: got %+v, want key %d", *got, want)
			}
			drop(got)
		case op == 3:
			x := all[rng.IntN(len(all))]
			if got := h.Remove(x.at); got != x {
				t.Fatalf("remove: got %+v, want %+v", *got, *x)
			}
			drop(x)
		default:
			x := all[rng.IntN(len(all))]
			x.key = rng.IntN(50)
			if at := x.at; op == 4 {
				h.Fix(at)
			} else {
				h.Replace(at, x)
			}
		}
		if h.Len() != len(all) || len(all) > 0 && h.Min().key != least().key {
			t.Fatalf("%d elements, want %d", h.Len(), len(all))
		}
		seen, limit := 0, rng.IntN(50)
		below := func(x *item) bool { return x.key < limit }
		h.Up(func(x *item) bool {
			if x.at < 0 || h.Len() <= x.at || !slices.Contains(all, x) {
				t.Fatalf("%+v is not one of %d elements", *x, h.Len())
			}
			if below(x) {
				seen++
			}
			return below(x)
		})
		if want := len(all) - len(slices.DeleteFunc(slices.Clone(all), below)); seen != want {
			t.Fatalf("%d elements are below %d, want %d", seen, limit, want)
		}
	}
}
