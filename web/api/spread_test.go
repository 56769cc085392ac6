package api_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/web/api"
)

// If calls came in a burst, the clients of a server that stops would all reconnect to the next
// one at the same time.
func TestSpreadIsEven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var perSecond [31]int
		api.Spread(t.Context(), 30*time.Second, make([]int, 10_000), func(int) {
			perSecond[int(time.Since(began)/time.Second)]++
		})
		for second, n := range perSecond[:30] {
			if n < 332 || n > 335 {
				t.Errorf("second %d: %d calls, want 333", second, n)
			}
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A stop that must not wait any longer must not wait for the rest of the window.
func TestSpreadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began, n := time.Now(), 0
		api.Spread(ctx, 10*time.Second, make([]int, 100), func(int) { n++ })
		if took := time.Since(began); took != 5*time.Second || n < 50 || n > 51 {
			t.Errorf("%d calls in %v, want half of 100 in 5s", n, took)
		}
	})
}

// Without a window all are told at once, and none is left out.
func TestSpreadWithoutWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, n := time.Now(), 0
		api.Spread(t.Context(), 0, make([]int, 100), func(int) { n++ })
		if took := time.Since(began); took != 0 || n != 100 {
			t.Errorf("%d calls in %v, want 100 at once", n, took)
		}
	})
}
