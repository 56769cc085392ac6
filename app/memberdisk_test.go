package app

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A disk that hangs must not keep a server from ending, nor have it ask again and again: each question is a thread that
// hangs. What the others are told must follow once it answers.
func TestDiskThatHangsIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		m, answer, over := new(membership), make(chan int64), make(chan struct{})
		var asked atomic.Int64
		go func() {
			defer close(over)
			m.watchDisk(ctx, func() int64 { asked.Add(1); return <-answer })
		}()
		for i, free := range []int64{500, 400, -1} { // -1 where it is not known
			time.Sleep(10*diskEvery + time.Second) // between two ticks
			answer <- free
			synctest.Wait()
			if got := m.free.Load(); got != max(0, free) || asked.Load() != int64(i+1) {
				t.Errorf("%d bytes are free after %d questions, want %d after %d", got, asked.Load(), max(0, free), i+1)
			}
		}
		time.Sleep(10*diskEvery + time.Second) // between two ticks
		end()
		<-over        // with a question that was not answered
		answer <- 300 // so that nothing is left of the test
	})
}
