package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"keywatch/test/gate"
)

// A recorder collects the history of many clients; safe for concurrent use.
type recorder struct {
	began time.Time
	mu    struct {
		sync.Mutex
		ops    []porcupine.Operation
		tags   map[string]string // ETag and key -> value
		counts map[string]int    // what happened, for the log
		err    error             // the first answer that cannot be
	}
}

func newRecorder() *recorder {
	rec := &recorder{began: time.Now()}
	rec.mu.tags, rec.mu.counts = make(map[string]string), make(map[string]int)
	return rec
}

func (rec *recorder) now() int64 { return int64(time.Since(rec.began)) }

// add records that client got rep for r, which it sent at call. An unknown
// outcome may still come to pass at any later time.
func (rec *recorder) add(client int, r request, rep reply, call int64) {
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

func (rec *recorder) count(what string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.mu.counts[what]++
}

// inDoubt reports whether a kill has left an outcome unknown for good, and
// another until the request was sent again.
func (rec *recorder) inDoubt() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.mu.counts["unknown"] > 0 && rec.mu.counts["sent again"] > 0
}

func (rec *recorder) fail(err error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.mu.err == nil {
		rec.mu.err = err
	}
}

// tagged checks that an ETag of a key never names two values.
func (rec *recorder) tagged(key int, etag, value string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	name := strconv.Itoa(key) + etag
	if old, ok := rec.mu.tags[name]; ok && old != value && rec.mu.err == nil {
		rec.mu.err = fmt.Errorf("the ETag %s of key %d names %q and %q", etag, key, old, value)
	}
	rec.mu.tags[name] = value
}

// A worker is one client of a history.
type worker struct {
	id   int
	rec  *recorder
	work *workload
	keep *restarter
	http *client
	// retry makes it send a write whose outcome it does not know again, with
	// the same Idempotency-Key, until it knows.
	retry bool
	// one restricts requests to those that byKey can split.
	one bool
	// pause is the time between requests, which bounds the history.
	pause time.Duration
}

// run sends requests until ctx ends. A request under way is then finished.
func (w *worker) run(ctx context.Context, hard context.Context) {
	tick := time.NewTicker(w.pause)
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

func (w *worker) step(ctx context.Context) {
	r, c := w.work.next(w.one)
	if w.retry && c.method != "GET" {
		c = c.with("Idempotency-Key", w.work.fresh())
	}
	began, lost := w.rec.now(), false
	for {
		from := w.keep.server()
		a, err := w.http.do(ctx, c)
		switch {
		case err == nil && a.status == 503:
			w.rec.count("503")
			if !lost { // not applied, and never will be
				return
			}
		case err == nil && a.status != 504:
			w.answered(r, c, a, began)
			return
		case err != nil && unsent(err) && c.header["Idempotency-Key"] == "":
			w.keep.after(ctx, from)
			return
		default:
			lost = true
		}
		if !w.retry || c.method == "GET" || ctx.Err() != nil {
			w.rec.add(w.id, r, reply{unknown: true}, began)
			return
		}
		w.rec.count("sent again")
		if err != nil {
			w.keep.after(ctx, from)
		}
	}
}

func (w *worker) answered(r request, c call, a *answer, began int64) {
	rep, err := w.work.reply(r, c, a)
	if err != nil {
		w.rec.fail(err)
		return
	}
	if a.replayed() {
		w.rec.count("replayed")
	}
	if len(r.steps) == 1 && rep.held && rep.steps[0].present && a.etag() != "" {
		w.rec.tagged(r.steps[0].key, a.etag(), rep.steps[0].value)
	}
	w.rec.add(w.id, r, rep, began)
}

// unsent reports whether err says that no connection was made, so that nothing
// was sent. That is so only without an Idempotency-Key: with one, net/http sends
// a request again unasked and reports what became of the last attempt.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// A run describes how a history is made.
type historyRun struct {
	clients, keys, kills int
	one                  bool
	pause                time.Duration
	between              time.Duration // time from a start to the next kill
	args                 []string
}

// record makes a history while the server is killed again and again, and checks
// what can be checked without a model.
func (h historyRun) record(t *testing.T) *recorder {
	t.Helper()
	keep := keep(t, t.TempDir(), h.args...)
	rec := newRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	hard := gate.Context(t)
	var running sync.WaitGroup
	for id := range h.clients {
		w := &worker{
			id: id, rec: rec, keep: keep, http: keep.client(t),
			retry: id%2 == 0, one: h.one, pause: h.pause,
			work: &workload{rng: rand.New(rand.NewPCG(*seed, uint64(id))), name: strconv.Itoa(id), keys: h.keys},
		}
		running.Go(func() { w.run(ctx, hard) })
	}
	// A kill that leaves no outcome in doubt tests nothing: then there are more.
	for n := 0; n < h.kills || n < 10*h.kills && !rec.inDoubt(); n++ {
		lasts(t, h.between)
		keep.server().kill()
		keep.restart(t)
	}
	lasts(t, h.between)
	cancel()
	running.Wait()
	if rec.mu.err != nil {
		t.Errorf("seed %d: %v", *seed, rec.mu.err)
	}
	t.Logf("%d operations: %v", len(rec.mu.ops), rec.mu.counts)
	return rec
}

// lasts returns after d, the time for which a load is to run: what is under test
// is another process, whose clock cannot be turned.
func lasts(t testing.TB, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
