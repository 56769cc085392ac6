package api_test

import (
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/web/api"
)

type sleeper struct{}

func (sleeper) Wake() {}

// If a barrier held for a byte more than had been received when it began, a read could miss a write
// that was acknowledged before it was sent; if it held for one less, reads that were sent together
// would wait one after the other.
func TestBarrierHoldsForWhatWasReceived(t *testing.T) {
	began := time.Now()
	under := kv.NewBarrier(sleeper{})
	b := api.NewBarrier(under, 10, began.Add(time.Second))
	if !b.Waits() || !b.Look(began) {
		t.Error("a barrier that has begun is not waited for")
	}
	under.Finish(nil)
	if b.Look(began) || b.Waits() || b.Err() != nil {
		t.Errorf("a barrier that is done is waited for, or has failed: %v", b.Err())
	}
	for _, size := range []int{0, 4, 5} {
		if b.Use(size); !b.Holds() {
			t.Fatalf("it does not hold after %d bytes more", size)
		}
	}
	if b.Use(1); b.Holds() {
		t.Error("it holds for more than was received")
	}
	var none *api.Barrier
	if none.Use(3); none.Waits() || none.Holds() || none.Look(began) {
		t.Error("what is no barrier is waited for, or holds")
	}
}

// If a barrier had no end, a read would wait for ever where no leader is known.
func TestBarrierIsGivenUp(t *testing.T) {
	began := time.Now()
	b := api.NewBarrier(kv.NewBarrier(sleeper{}), 1, began.Add(time.Second))
	if !b.Look(began.Add(time.Second - 1)) {
		t.Error("it is given up before its time")
	}
	if b.Look(b.Until()) || b.Err() != kv.ErrNoLeader {
		t.Errorf("after its time it is waited for, or got %v, want %v", b.Err(), kv.ErrNoLeader)
	}
}
