package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/kv/latency"
	"keywatch/kv/wake"
)

// spareMax buffers of up to spareSize bytes are kept to build entries in.
const (
	spareMax  = 4
	spareSize = 1 << 20
)

// A queue holds batches that wait for the log, oldest first.
type queue struct {
	opts Options
	// held is the bytes of all batches that are not finished.
	held atomic.Int64
	// times has how long commands waited for their fate, as their batch did.
	times latency.Histogram
	// wake says that there may be something to propose.
	wake wake.Chan
	mu   struct {
		sync.Mutex
		batches  []*batch
		most     int // commands that may wait
		commands int
		bytes    int
		spare    [][]byte // buffers to build entries in
		closed   bool
	}
}

func (q *queue) init(opts Options) {
	q.opts, q.mu.most = opts, opts.QueueCommands
	q.wake = wake.New()
}

// add puts c into the newest batch, or a new one, and returns the batch and
// c's place in it. It fails with kv.ErrQueueFull or kv.ErrStopping.
func (q *queue) add(c *kv.Command) (*batch, int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed {
		return nil, 0, kv.ErrStopping
	}
	if q.mu.commands >= q.mu.most || q.mu.bytes >= q.opts.QueueBytes {
		return nil, 0, kv.ErrQueueFull
	}
	b := q.lastLocked()
	before, place := b.builder.Size(), b.builder.Len()
	b.builder.Add(c)
	if c.Span != nil {
		b.traced = append(b.traced, traced{span: c.Span, place: place, added: time.Now()})
	}
	q.mu.commands++
	q.grow(b, b.builder.Size()-before)
	return b, place, nil
}

// bound has the queue hold up to n commands from now on.
func (q *queue) bound(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.most = n
}

// addSetup puts a change of the state's settings into a batch of its own.
func (q *queue) addSetup(u kv.Setup) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.newLocked()
	b.sealed = true
	before := b.builder.Size()
	b.builder.AddSetup(u)
	q.mu.commands++
	q.grow(b, b.builder.Size()-before)
	return b
}

// addTick makes sure that an entry will be logged, if only to tell the time.
func (q *queue) addTick() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.mu.closed && len(q.mu.batches) == 0 {
		q.lastLocked()
	}
}

// lastLocked returns the batch that takes the next command.
func (q *queue) lastLocked() *batch {
	if n := len(q.mu.batches); n > 0 {
		b := q.mu.batches[n-1]
		if !b.sealed && b.builder.Len() < q.opts.EntryCommands && b.builder.Size() < q.opts.EntryBytes {
			return b
		}
	}
	return q.newLocked()
}

// newLocked adds a batch. It is signalled here, once: the goroutine that takes batches takes all there are.
func (q *queue) newLocked() *batch {
	b := &batch{done: make(chan struct{}), held: &q.held, began: time.Now(), times: &q.times}
	var buf []byte
	if n := len(q.mu.spare); n > 0 {
		buf, q.mu.spare = q.mu.spare[n-1], q.mu.spare[:n-1]
	}
	b.builder.Reset(buf)
	q.grow(b, b.builder.Size())
	q.mu.batches = append(q.mu.batches, b)
	q.wake.Wake()
	return b
}

// grow counts that b has grown by n bytes; mu is held.
func (q *queue) grow(b *batch, n int) {
	b.size += n
	q.mu.bytes += n
	q.held.Add(int64(n))
}

// take removes the oldest batch; nil if there is none.
func (q *queue) take() *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.mu.batches) == 0 {
		return nil
	}
	b := q.mu.batches[0]
	q.mu.batches[0] = nil
	q.mu.batches = q.mu.batches[1:]
	q.mu.commands -= b.builder.Len()
	q.mu.bytes -= b.size
	return b
}

// reuse takes the buffer of a batch, of which the log has a copy.
func (q *queue) reuse(buf []byte) {
	if cap(buf) > spareSize {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.mu.spare) < spareMax {
		q.mu.spare = append(q.mu.spare, buf)
	}
}

func (q *queue) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.commands
}

// ended reports whether the queue was closed, empty whether nothing waits in it.
func (q *queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.closed
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.mu.batches) == 0
}

// close has the queue refuse everything.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.closed = true
	q.wake.Wake()
}
