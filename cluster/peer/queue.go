package peer

import (
	"sync"

	"keywatch/kv/wake"
)

// bodyCost is what a body counts beyond its bytes while it waits, so that empty ones are bounded
// too.
const bodyCost = 64

// A queue has the bodies that wait for one connection. A body counts until it was handed to
// the connection whole.
type queue struct {
	wake wake.Chan     // tells the connection's writer that something waits
	ends chan struct{} // closed when the queue takes no more
	mu   struct {
		sync.Mutex
		of     [queues]fifo
		closed bool
	}
}

// A fifo has the bodies of one class.
type fifo struct {
	bodies [][]byte
	bytes  int // of all that is not released, with bodyCost for each
	limit  int
}

func (q *queue) init(control, append int) {
	q.wake, q.ends = wake.New(), make(chan struct{})
	q.mu.of[0].limit, q.mu.of[1].limit = control, append
}

// push adds a body, unless its class has no room. One that is larger than the limit waits alone.
func (q *queue) push(class Class, body []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := &q.mu.of[class-Control]
	cost := len(body) + bodyCost
	if q.mu.closed || f.bytes > 0 && f.bytes+cost > f.limit {
		return false
	}
	f.bodies = append(f.bodies, body)
	f.bytes += cost
	q.wake.Wake()
	return true
}

// pop returns the oldest body of a class. It counts until it is released.
func (q *queue) pop(class Class) (body []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := &q.mu.of[class-Control]
	if len(f.bodies) == 0 {
		return nil, false
	}
	body = f.bodies[0]
	f.bodies[0] = nil
	f.bodies = f.bodies[1:]
	return body, true
}

// release forgets a body that was popped.
func (q *queue) release(class Class, body []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.of[class-Control].bytes -= len(body) + bodyCost
}

// bytes returns what waits in a class.
func (q *queue) bytes(class Class) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.of[class-Control].bytes
}

// close takes no more and returns how many bodies of each class are lost; 0 when called again.
func (q *queue) close() (lost [queues]int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.mu.of {
		lost[i] = len(q.mu.of[i].bodies)
		q.mu.of[i].bodies = nil
	}
	if !q.mu.closed {
		q.mu.closed = true
		close(q.ends)
	}
	return lost
}
