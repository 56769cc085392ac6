package cluster

import (
	"bytes"
	"sync"
	"sync/atomic"

	"keywatch/kv"
	"keywatch/kv/wake"
)

// spareMax buffers of up to spareSize bytes are kept to build entries in.
const (
	spareMax  = 4
	spareSize = 1 << 20
)

// A batch is one log entry in the making and those who wait for it.
type batch struct {
	builder kv.EntryBuilder
	size    int // of what builder has built, in bytes
	// results and err are set before done is closed.
	results []kv.Result
	err     error
	done    chan struct{} // closed when the fate of the batch is known
}

// A queue holds batches that wait for the log, oldest first.
type queue struct {
	opts Options
	// held is the bytes of all batches that are not finished.
	held atomic.Int64
	// wake says that there may be something to propose.
	wake wake.Chan
	mu   struct {
		sync.Mutex
		batches  []*batch
		commands int
		bytes    int
		spare    [][]byte // buffers to build entries in
		closed   bool
	}
}

func (q *queue) init(opts Options) {
	q.opts = opts
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
	if q.mu.commands >= q.opts.QueueCommands || q.mu.bytes >= q.opts.QueueBytes {
		return nil, 0, kv.ErrQueueFull
	}
	b := q.lastLocked()
	before, place := b.builder.Size(), b.builder.Len()
	b.builder.Add(c)
	q.mu.commands++
	q.grow(b, b.builder.Size()-before)
	return b, place, nil
}

// addTick makes sure that an entry will be logged, if only to tell the time.
func (q *queue) addTick() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.mu.closed && len(q.mu.batches) == 0 {
		q.lastLocked()
	}
}

// lastLocked returns the batch that takes the next command. A new one is
// signalled here, once: the goroutine that takes batches takes all there are.
func (q *queue) lastLocked() *batch {
	if n := len(q.mu.batches); n > 0 {
		b := q.mu.batches[n-1]
		if b.builder.Len() < q.opts.EntryCommands && b.builder.Size() < q.opts.EntryBytes {
			return b
		}
	}
	b := &batch{done: make(chan struct{})}
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

// finish tells those who wait for b what became of it.
func (q *queue) finish(b *batch, results []kv.Result, err error) {
	q.held.Add(-int64(b.size))
	b.results, b.err = results, err
	close(b.done)
}

// take removes the oldest batch; nil if there is none. more is false once the
// queue is closed and empty.
func (q *queue) take() (b *batch, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.mu.batches) == 0 {
		return nil, !q.mu.closed
	}
	b = q.mu.batches[0]
	q.mu.batches[0] = nil
	q.mu.batches = q.mu.batches[1:]
	q.mu.commands -= b.builder.Len()
	q.mu.bytes -= b.size
	return b, true
}

// entry returns the log entry of a batch that was taken, in memory of about its own
// size: entries stay in memory logs for long. The buffer that the batch was
// built in is used again, unless it is large.
func (q *queue) entry(b *batch, now int64) []byte {
	buf := b.builder.Finish(now)
	large := cap(buf) > spareSize
	if large && cap(buf)-len(buf) <= len(buf)/8 {
		return buf
	}
	data := bytes.Clone(buf)
	if large {
		return data
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.mu.spare) < spareMax {
		q.mu.spare = append(q.mu.spare, buf)
	}
	return data
}

func (q *queue) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.commands
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.closed = true
	q.wake.Wake()
}
