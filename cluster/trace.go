package cluster

import (
	"log/slog"
	"sync"
	"time"

	"keywatch/cluster/core"
	"keywatch/kv"
	"keywatch/kv/trace"
)

// Traces follow to their watches what sampled requests have written. Its methods are called by the
// goroutine that applies.
type Traces interface {
	// Expect says whether the revisions that are published next may be those of sampled requests.
	Expect(traced bool)
	// Wrote says that a request has written the revision at a position.
	Wrote(at kv.Position, request *trace.Span)
}

// A traced is a command in a batch whose request is sampled.
type traced struct {
	span  *trace.Span
	place int
	added time.Time
}

// tracing is what the loop knows for traces.
type tracing struct {
	flying int // batches with traced commands that have left the queue and not landed
	// The entry that was applied last while there were any.
	index        uint64
	began, ended time.Time
}

// beginApply notes that an entry is about to be applied.
func (n *Node) beginApply() {
	if t := &n.loop.tracing; t.flying > 0 {
		n.opts.Traces.Expect(true)
		t.began = time.Now()
	}
}

// endApply notes that it was.
func (n *Node) endApply(index uint64) {
	if t := &n.loop.tracing; t.flying > 0 {
		n.opts.Traces.Expect(false)
		t.index, t.ended = index, time.Now()
	}
}

// trace adds to the requests of the traced commands of b where their time went: waiting for the log
// to take them, in the log until most servers had them, and being applied. All commands of an entry
// share what comes after the queue.
func (n *Node) trace(b *batch, results []kv.Result, err error) {
	t := &n.loop.tracing
	t.flying--
	for _, c := range b.traced {
		c.span.Add("keywatch.queue", c.added, b.taken)
		if err != nil {
			c.span.Add("keywatch.commit", b.taken, time.Now(), slog.String("error.type", err.Error()))
			continue
		}
		commit := c.span.Add("keywatch.commit", b.taken, t.began,
			slog.Uint64("keywatch.log.index", t.index), slog.Int("keywatch.log.commands", len(results)), slog.Int("keywatch.log.bytes", b.size))
		n.writes.addTo(commit, t.index)
		c.span.Add("keywatch.apply", t.began, t.ended)
		if r := &results[c.place]; r.Rev != 0 && !r.Replayed {
			n.opts.Traces.Wrote(kv.Position{Epoch: r.At.Epoch, Rev: r.Rev}, c.span)
		}
	}
}

// keptWrites is how many writes to the log are remembered for traces: several times as many as
// there are at once between a write and its apply.
const keptWrites = 32

// writes are the newest writes of entries to the log. It is safe for concurrent use.
type writes struct {
	mu   sync.Mutex
	next int
	list [keptWrites]logWrite
}

// A logWrite is one, of the entries from first to last. What it did not fsync has no times of that.
type logWrite struct {
	first, last    uint64
	began, ended   time.Time
	fsync, fsynced time.Time
}

// A fsyncer is a log that knows when its last fsync was.
type fsyncer interface {
	LastFsync() (began, ended time.Time)
}

// note remembers a write that ends now.
func (w *writes) note(x core.Write, began time.Time, log core.Log) {
	one := logWrite{first: x.Entries[0].GetIndex(), last: x.Entries[len(x.Entries)-1].GetIndex(), began: began, ended: time.Now()}
	if f, ok := log.(fsyncer); ok {
		if from, to := f.LastFsync(); !from.Before(began) && !to.After(one.ended) {
			one.fsync, one.fsynced = from, to
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list[w.next%keptWrites] = one
	w.next++
}

// addTo adds the write of an entry to its commit, if it is remembered.
func (w *writes) addTo(commit *trace.Span, index uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.list {
		one := &w.list[i]
		if index < one.first || index > one.last || one.began.Before(commit.Began) {
			continue
		}
		part := commit.Add("keywatch.log.write", one.began, one.ended)
		if !one.fsync.IsZero() {
			part.Add("keywatch.log.fsync", one.fsync, one.fsynced)
		}
		return
	}
}
