package cluster

import (
	"sync"

	"keywatch/cluster/core"
	"keywatch/kv/wake"
)

// A writer is the goroutine that makes durable what a core asks for, in order. The first error is
// final: nothing is tried again.
type writer struct {
	write func(core.Write) error
	// written is called once for each write that was begun, with why it could not be done.
	written func(core.Write, error)

	wake wake.Chan
	mu   struct {
		sync.Mutex
		queue []core.Write
		ended bool
	}
}

// begin hands a write to the goroutine.
func (w *writer) begin(x core.Write) {
	w.mu.Lock()
	w.mu.queue = append(w.mu.queue, x)
	w.mu.Unlock()
	w.wake.Wake()
}

// end has the goroutine end once it has written everything.
func (w *writer) end() {
	w.mu.Lock()
	w.mu.ended = true
	w.mu.Unlock()
	w.wake.Wake()
}

// run is the goroutine.
func (w *writer) run() {
	for range w.wake {
		for {
			x, ok, ended := w.next()
			if !ok && ended {
				return
			}
			if !ok {
				break
			}
			err := w.write(x)
			w.written(x, err)
			if err != nil {
				return
			}
		}
	}
}

// next returns what is to be written next; ok is false if there is nothing.
func (w *writer) next() (x core.Write, ok, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.mu.queue) == 0 {
		return core.Write{}, false, w.mu.ended
	}
	x = w.mu.queue[0]
	w.mu.queue[0] = core.Write{}
	w.mu.queue = w.mu.queue[1:]
	return x, true, false
}
