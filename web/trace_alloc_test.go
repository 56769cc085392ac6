//go:build !race

package web_test

import "testing"

// What is not traced must not cost what traces do: a request allocates as much with traces off as
// with those that sample others, and less than a sampled one.
func TestTracesAllocateNothing(t *testing.T) {
	for _, method := range []string{"GET", "PUT"} {
		var allocs []float64
		for mode := range traceModes {
			run := tracedRequest(t, mode, method)
			run()
			allocs = append(allocs, testing.AllocsPerRun(200, run))
		}
		// One may be the growth of something that all requests share.
		if off := allocs[0]; allocs[1] > off+1 || allocs[2] > off+1 || allocs[3] < off+3 {
			t.Errorf("%s: %v allocations with traces off, not sampled, flag 00, sampled", method, allocs)
		}
	}
}
