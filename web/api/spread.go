package api

import (
	"context"
	"time"
)

// Spread calls do for each of list, evenly over window, and returns after the last call. When
// ctx ends first the rest are left out.
func Spread[T any](ctx context.Context, window time.Duration, list []T, do func(T)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	began := time.Now()
	for i, one := range list {
		due := time.Duration(float64(window) * float64(i) / float64(len(list)))
		if wait := due - time.Since(began); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
		}
		if ctx.Err() != nil {
			return
		}
		do(one)
	}
}
