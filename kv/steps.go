package kv

import (
	"iter"
	"runtime"
)

// lockStep is how many things a checkpoint looks at before it releases the apply lock.
const lockStep = 512

// steps calls do, with the apply lock held, for each of what all returns. After every
// lockStep of them it releases the lock and yields how many there were. all is called with
// the lock held; a map that it ranges over may change while the lock is released.
func steps[K, V any](s *State, all func() iter.Seq2[K, V], do func(K, V)) iter.Seq[int] {
	return func(yield func(int) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := 0
		for k, v := range all() {
			do(k, v)
			if n++; n < lockStep {
				continue
			}
			s.mu.Unlock()
			more := yield(n)
			s.mu.Lock()
			if !more {
				return
			}
			n = 0
		}
	}
}

// run does all steps. Writers that wait have their turn between two.
func run(steps iter.Seq[int]) {
	for range steps {
		runtime.Gosched()
	}
}
