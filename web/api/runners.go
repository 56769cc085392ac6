package api

import "sync"

// Runners run jobs on a bounded number of goroutines, of which there are none while there is
// nothing to run. They are safe for concurrent use.
type Runners[T any] struct {
	max     int
	run     func(T)
	running sync.WaitGroup
	mu      struct {
		sync.Mutex
		running int
		// waiting are jobs that wait for a goroutine, in the order in which they came.
		waiting []T
	}
}

// NewRunners returns runners that call run for each job, on at most so many goroutines.
func NewRunners[T any](max int, run func(T)) *Runners[T] { return &Runners[T]{max: max, run: run} }

// Run has job run. It does not wait.
func (r *Runners[T]) Run(job T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.running >= r.max {
		r.mu.waiting = append(r.mu.waiting, job)
		return
	}
	r.mu.running++
	r.running.Go(func() {
		for job, more := job, true; more; job, more = r.next() {
			r.run(job)
		}
	})
}

// next returns the job whose turn it is; without one the goroutine ends.
func (r *Runners[T]) next() (job T, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.mu.waiting) == 0 {
		r.mu.running--
		return job, false
	}
	job = r.mu.waiting[0]
	clear(r.mu.waiting[:1])
	r.mu.waiting = r.mu.waiting[1:]
	return job, true
}

// Len returns how many goroutines there are, and how many jobs wait for one.
func (r *Runners[T]) Len() (running, waiting int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.running, len(r.mu.waiting)
}

// Wait waits until every job has run. No job may come meanwhile, but from one that runs.
func (r *Runners[T]) Wait() { r.running.Wait() }
