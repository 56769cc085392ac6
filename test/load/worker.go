package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// A Recorder collects the history of many clients; safe for concurrent use.
type Recorder struct {
	began time.Time
	mu    struct {
		sync.Mutex
		ops    []porcupine.Operation
		tags   map[string]string // ETag and key -> value
		counts map[string]int    // what happened, for the log
		err    error             // the first answer that cannot be
	}
}

// NewRecorder returns a recorder of nothing yet.
func NewRecorder() *Recorder {
	rec := &Recorder{began: time.Now()}
	rec.mu.tags, rec.mu.counts = make(map[string]string), make(map[string]int)
	return rec
}

// Ops returns what was recorded so far.
func (rec *Recorder) Ops() []porcupine.Operation {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return slices.Clone(rec.mu.ops)
}

// Counts returns how often what happened, for the log.
func (rec *Recorder) Counts() map[string]int {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return maps.Clone(rec.mu.counts)
}

// Err returns the first answer that cannot be.
func (rec *Recorder) Err() error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.mu.err
}

func (rec *Recorder) now() int64 { return int64(time.Since(rec.began)) }

// add records that client got rep for r, which it sent at call. An unknown
// outcome may still come to pass at any later time.
func (rec *Recorder) add(client int, r request, rep reply, call int64) {
	end := rec.now()
	if rep.unknown {
		end = math.MaxInt64
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.mu.ops = append(rec.mu.ops, porcupine.Operation{
		ClientId: client, Input: r, Call: call, Output: rep, Return: end,
	})
	rec.mu.counts[outcome(rep)]++
}

func outcome(rep reply) string {
	switch {
	case rep.unknown:
		return "unknown"
	case rep.held:
		return "held"
	}
	return "refused"
}

func (rec *Recorder) count(what string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.mu.counts[what]++
}

// InDoubt reports whether a kill has left an outcome unknown for good, and
// another until the request was sent again.
func (rec *Recorder) InDoubt() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.mu.counts["unknown"] > 0 && rec.mu.counts["sent again"] > 0
}

func (rec *Recorder) fail(err error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.mu.err == nil {
		rec.mu.err = err
	}
}

// tagged checks that an ETag of a key never names two values.
func (rec *Recorder) tagged(key int, etag, value string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	name := strconv.Itoa(key) + etag
	if old, ok := rec.mu.tags[name]; ok && old != value && rec.mu.err == nil {
		rec.mu.err = fmt.Errorf("the ETag %s of key %d names %q and %q", etag, key, old, value)
	}
	rec.mu.tags[name] = value
}

// A Worker is one client of a history.
type Worker struct {
	ID   int
	Rec  *Recorder
	Work *Workload
	To   Target
	HTTP *Client
	// Retry makes it send a write whose outcome it does not know again, with
	// the same Idempotency-Key, until it knows.
	Retry bool
	// One restricts requests to those that JudgeByKey can split.
	One bool
	// Pause is the time between requests, which bounds the history.
	Pause time.Duration
}

// Run sends requests until ctx ends. A request under way is then finished.
func (w *Worker) Run(ctx context.Context, hard context.Context) {
	tick := time.NewTicker(w.Pause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.step(hard)
		case <-ctx.Done():
			return
		}
	}
}

func (w *Worker) step(ctx context.Context) {
	r, c := w.Work.next(w.One)
	if w.Retry && c.Method != "GET" {
		c = c.With("Idempotency-Key", w.Work.fresh())
	}
	began, inDoubt := w.Rec.now(), false
	for {
		url, lost := w.To.Pick()
		a, err := w.HTTP.doAt(ctx, url, c)
		switch {
		case err == nil && a.Status == 503:
			w.Rec.count("503")
			if !inDoubt { // not applied, and never will be
				return
			}
		case err == nil && a.Status != 504:
			w.answered(r, c, a, began)
			return
		case err != nil && unsent(err) && c.header["Idempotency-Key"] == "":
			lost(ctx)
			return
		default:
			inDoubt = true
		}
		if !w.Retry || c.Method == "GET" || ctx.Err() != nil {
			w.Rec.add(w.ID, r, reply{unknown: true}, began)
			return
		}
		w.Rec.count("sent again")
		lost(ctx)
	}
}

func (w *Worker) answered(r request, c Call, a *Answer, began int64) {
	rep, err := w.Work.reply(r, c, a)
	if err != nil {
		w.Rec.fail(err)
		return
	}
	if a.Replayed() {
		w.Rec.count("replayed")
	}
	if len(r.steps) == 1 && rep.held && rep.steps[0].present && a.ETag() != "" {
		w.Rec.tagged(r.steps[0].key, a.ETag(), rep.steps[0].value)
	}
	w.Rec.add(w.ID, r, rep, began)
}

// unsent reports whether err says that no connection was made, so that nothing
// was sent. That is so only without an Idempotency-Key: with one, net/http sends
// a request again unasked and reports what became of the last attempt.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
