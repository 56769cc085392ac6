package e2e_test

import (
	"context"
	"fmt"
	"keywatch/test/load"
	"strings"
	"sync"
	"testing"
)

// A ledger is what one writer knows of its key: the writes 1, 2, 3 and so on, in
// that order, of which it is told that they happened. Only its writer writes.
type ledger struct {
	key string
	// pad is the size of values.
	pad int
	// churn makes every second write a deletion.
	churn bool
	mu    struct {
		sync.Mutex
		// acked is the last write that was acknowledged, tried the last one
		// that was sent.
		acked, tried int
	}
}

// bounds returns the last acknowledged and the last tried write.
func (l *ledger) bounds() (acked, tried int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.acked, l.mu.tried
}

func (l *ledger) settle(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.acked, l.mu.tried = n, n
}

// begin returns the number of the next write.
func (l *ledger) begin() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.tried = l.mu.acked + 1
	return l.mu.tried
}

func (l *ledger) call(n int) load.Call {
	if l.churn && n%2 == 0 {
		return load.Call{Method: "DELETE", Path: "/v1/kv/" + l.key}
	}
	return load.PutCall(l.key, fmt.Sprintf("%d %s", n, strings.Repeat("x", l.pad)))
}

// find returns the number of the write whose outcome value is, absent with found
// false. It fails unless that is a write from low to high, whole and with the
// version it must have.
func (l *ledger) find(found bool, value string, version, low, high int) (int, error) {
	if !found {
		for n := low; n <= high; n++ {
			if n == 0 || l.churn && n%2 == 0 {
				return n, nil
			}
		}
		return 0, fmt.Errorf("%s is absent, want one of its writes %d to %d", l.key, low, high)
	}
	var n int
	if _, err := fmt.Sscanf(value, "%d ", &n); err != nil || value != l.call(n).Body {
		return 0, fmt.Errorf("%s holds %d bytes, %.40q, that were never written", l.key, len(value), value)
	}
	if n < low || n > high {
		return 0, fmt.Errorf("%s holds its write %d, want one from %d, which was acknowledged, to %d", l.key, n, low, high)
	}
	if want := l.version(n); version != want {
		return 0, fmt.Errorf("%s has version %d after write %d, want %d", l.key, version, n, want)
	}
	return n, nil
}

func (l *ledger) version(n int) int {
	if l.churn {
		return 1
	}
	return n
}

// A highWater is the highest position that anybody was told; it is safe for
// concurrent use.
type highWater struct {
	mu struct {
		sync.Mutex
		top load.Position
		err error
	}
}

func (h *highWater) get() load.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.top
}

// saw checks an answer to a question that was asked when the highest known
// position was since: it cannot be from before it.
func (h *highWater) saw(since load.Position, a *load.Answer) {
	p, err := a.Position()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil:
	case since.Epoch != "" && p.Epoch != since.Epoch:
		err = fmt.Errorf("epoch %s after %s, but nothing can have been lost", p.Epoch, since.Epoch)
	case p.Rev < since.Rev:
		err = fmt.Errorf("position %d answered after %d was known", p.Rev, since.Rev)
	}
	if err != nil && h.mu.err == nil {
		h.mu.err = err
	}
	if p.Rev > h.mu.top.Rev {
		h.mu.top = p
	}
}

// A writer fills ledgers in turn until its context ends.
type writer struct {
	keep    *restarter
	http    *load.Client
	top     *highWater
	ledgers []*ledger
	err     error // the first answer that cannot be; valid once run returned
	writes  int
}

// run writes until ctx ends; requests end with hard.
func (w *writer) run(ctx, hard context.Context) {
	for i := 0; ctx.Err() == nil && w.err == nil; i++ {
		w.write(hard, w.ledgers[i%len(w.ledgers)])
	}
}

func (w *writer) write(ctx context.Context, l *ledger) {
	n, from, since := l.begin(), w.keep.server(), w.top.get()
	a, err := w.http.Do(ctx, l.call(n))
	switch {
	case err == nil && (a.Status == 200 || a.Status == 201 || a.Status == 204):
		w.top.saw(since, a)
		l.settle(n)
		w.writes++
		return
	case err == nil && a.Status == 503:
		l.settle(n - 1)
		return
	case err == nil && a.Status != 504:
		w.err = fmt.Errorf("write %d of %s: status %d: %s", n, l.key, a.Status, a.Body)
		return
	}
	// The outcome is not known: the next server knows it.
	if err != nil && w.keep.after(ctx, from) == nil {
		return
	}
	w.resolve(ctx, l)
}

// resolve asks what became of the last write.
func (w *writer) resolve(ctx context.Context, l *ledger) {
	for ctx.Err() == nil {
		from, since := w.keep.server(), w.top.get()
		a, err := w.http.Do(ctx, load.GetCall(l.key))
		if err != nil || a.Status >= 500 {
			if err != nil {
				w.keep.after(ctx, from)
			}
			continue
		}
		w.top.saw(since, a)
		acked, tried := l.bounds()
		n, err := l.find(a.Status == 200, a.Body, a.Version(), acked, tried)
		if err != nil {
			w.err = err
			return
		}
		l.settle(n)
		return
	}
}

// newWriters returns writers of small values, of large ones that fill the log,
// and of keys that come and go.
func newWriters(t *testing.T, keep *restarter, top *highWater) []*writer {
	var writers []*writer
	for i := range 6 {
		w := &writer{keep: keep, http: keep.client(t), top: top}
		for k := range 20 {
			l := &ledger{key: fmt.Sprintf("w%d/%d", i, k), pad: 100 * i, churn: i == 4}
			if i == 5 {
				l.pad = 200 << 10
			}
			w.ledgers = append(w.ledgers, l)
		}
		writers = append(writers, w)
	}
	return writers
}
