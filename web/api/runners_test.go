package api_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"keywatch/web/api"
)

// If this failed, a burst of commands would get a goroutine each, or one that came later would
// be run before one that waits.
func TestRunnersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gates := []chan struct{}{make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})}
		var begun []int
		began := make(chan int, len(gates))
		r := api.NewRunners(2, func(job int) {
			began <- job
			<-gates[job]
		})
		next := func(n int) {
			synctest.Wait()
			for range n {
				begun = append(begun, <-began)
			}
			if more := len(began); more > 0 {
				t.Fatalf("%d more jobs have begun", more)
			}
		}
		for job := range gates {
			r.Run(job)
		}
		next(2)
		if running, waiting := r.Len(); running != 2 || waiting != 2 {
			t.Errorf("%d run and %d wait, want 2 and 2", running, waiting)
		}
		close(gates[1])
		next(1)
		close(gates[0])
		next(1)
		if slices.Sort(begun[:2]); !slices.Equal(begun, []int{0, 1, 2, 3}) {
			t.Errorf("jobs began in the order %v", begun)
		}
		close(gates[2])
		close(gates[3])
		r.Wait()
		if running, waiting := r.Len(); running+waiting != 0 {
			t.Errorf("%d run and %d wait when all is done", running, waiting)
		}
		gates = append(gates, make(chan struct{}))
		close(gates[4])
		r.Run(4)
		next(1)
		r.Wait()
	})
}
