package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

// A history is a log's states since the last one that must survive.
type history struct {
	now    []*wal.Entry
	states [][]string // the first must survive, or a later one
	term   uint64
}

// durable says that the present state must survive.
func (h *history) durable() { h.states = [][]string{texts(h.now)} }

// attempt notes the state that an operation will lead to, before it is tried.
func (h *history) attempt(now []*wal.Entry) {
	h.states = append(h.states, texts(now))
	h.now = now
}

// adopt takes over what was found after a crash, or fails if it is none of the
// states that may be found.
func (h *history) adopt(t *testing.T, what string, l *wal.Log) {
	t.Helper()
	got := contents(t, l)
	if !slices.ContainsFunc(h.states, func(s []string) bool { return slices.Equal(s, got) }) {
		t.Fatalf("%s: found %d entries %.200q, which is none of the %d states that may be found; the first is %.200q",
			what, len(got), got, len(h.states), h.states[0])
	}
	h.now = nil
	first, _ := l.FirstIndex()
	for i := range got {
		var e wal.Entry
		if err := l.Read(first+uint64(i), &e); err != nil {
			t.Fatal(err)
		}
		h.now = append(h.now, &e)
	}
	h.durable()
}

// step does one random operation. It returns the error that stopped the log.
func (h *history) step(l *wal.Log, rng *rand.Rand, always bool) error {
	h.term++
	n := len(h.now)
	first, last := uint64(1+rng.IntN(1000)), uint64(0)
	if n > 0 {
		first, last = h.now[0].Index, h.now[n-1].Index
	}
	var err error
	synced := always
	switch k := rng.IntN(20); {
	case k < 12 || n == 0:
		next := last + 1
		if n == 0 {
			next = first
		}
		logs := entries(next, h.term, 1+rng.IntN(6), rng.IntN(300))
		if rng.IntN(15) == 0 {
			logs = entries(next, h.term, 1, 6000)
		}
		h.attempt(append(slices.Clone(h.now), logs...))
		err = l.Append(logs...)
	case k < 15:
		cut := rng.IntN(n)
		h.attempt(slices.Clone(h.now[:cut]))
		err = l.DeleteRange(first+uint64(cut), last)
		synced = true
	case k < 18:
		cut := rng.IntN(n)
		h.attempt(slices.Clone(h.now[cut:]))
		err = l.DeleteRange(1, first+uint64(cut)-1)
		synced = synced || cut > 0
	case k == 18:
		l.Pause()
		synced = l.Sync() == nil
	default:
		err = l.Sync()
		synced = true
	}
	if err == nil && synced {
		h.durable()
	}
	return err
}

// work does n operations or fewer, until one fails.
func (h *history) work(l *wal.Log, rng *rand.Rand, n int, always bool) error {
	for range n {
		if err := h.step(l, rng, always); err != nil {
			return err
		}
	}
	return nil
}

// policies are the ways to sync that storage tests run under.
var policies = map[string]wal.SyncPolicy{
	"always": wal.SyncAlways, "interval": wal.SyncInterval,
}

// workload is the number of operations that a storage test does between two
// restarts: enough for some rotations.
const workload = 24

// A power cut between any two operations, also within a recovery from one, must
// lose nothing that was acknowledged and must never stop the next start.
func TestPowerCutAnywhere(t *testing.T) {
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			for seed, loss := range []faultfs.Loss{faultfs.DropSome, faultfs.DropAll, faultfs.DropNone} {
				for at := 1; cutPower(t, policy, uint64(seed), loss, at); at++ {
				}
			}
		})
	}
}

// cutPower runs a workload with the power cut in the given operation, and twice more
// after the restart. It returns false once the workload ends before the cut.
func cutPower(t *testing.T, policy wal.SyncPolicy, seed uint64, loss faultfs.Loss, at int) bool {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	fsys := faultfs.New(seed)
	h := &history{}
	h.durable()
	more := true
	for round := range 3 {
		what := fmt.Sprintf("seed %d loss %d cut at %d, round %d", seed, loss, at, round)
		opts := small(fsys)
		opts.Sync = policy
		fsys.CutAt(at)
		l, err := wal.Open(dir, opts)
		if err == nil {
			if round > 0 {
				h.adopt(t, what, l)
			}
			err = h.work(l, rng, workload, policy == wal.SyncAlways)
		}
		if err != nil && !errors.Is(err, faultfs.ErrPowerCut) {
			t.Fatalf("%s: %v\n%s", what, err, fsys.Trace())
		}
		if round == 0 {
			more = err != nil
		}
		fsys = fsys.Crash(loss)
		at = 1 + rng.IntN(60)
	}
	opts := small(fsys)
	opts.Sync = policy
	h.adopt(t, "at the end", mustOpen(t, opts))
	return more
}

// A failed write or fsync must stop the log at once, for good and with the owner
// told, and what was acknowledged must be there after a restart with and without a
// power cut: a failed fsync leaves bytes that look written and are not.
func TestEveryOperationFailsOnce(t *testing.T) {
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 2; seed++ {
				for at := 1; failOnce(t, policy, seed, at); at++ {
				}
			}
		})
	}
}

// failOnce runs a workload in which the given operation fails. It returns false
// once the workload ends before it.
func failOnce(t *testing.T, policy wal.SyncPolicy, seed uint64, at int) bool {
	t.Helper()
	what := fmt.Sprintf("seed %d failure at %d", seed, at)
	rng := rand.New(rand.NewPCG(seed, 7))
	fsys := faultfs.New(seed)
	h := &history{}
	h.durable()
	opts := small(fsys)
	opts.Sync = policy
	var told []error
	opts.Fatal = func(err error) { told = append(told, err) }
	fsys.FailAt(at)
	l, err := wal.Open(dir, opts)
	if err != nil && (len(told) > 0 || !errors.Is(err, faultfs.ErrInjected)) {
		t.Fatalf("%s: open: %v, told %v", what, err, told)
	}
	if err == nil {
		err = h.work(l, rng, workload, policy == wal.SyncAlways)
		if err != nil && !errors.Is(err, faultfs.ErrInjected) {
			t.Fatalf("%s: %v", what, err)
		}
		if err != nil {
			checkStopped(t, what, l, fsys, told)
		}
		l.Close()
	}
	injected := fsys.Ops() >= at
	fsys.FailAt(0)
	// A restart on the same system sees the bytes of the failed write; it continues,
	// and then the power is cut. What it showed and acknowledged must survive.
	opts.Fatal = nil
	for range 2 {
		opts.FS = fsys
		if l, err = wal.Open(dir, opts); err != nil {
			t.Fatalf("%s: reopen: %v\n%s", what, err, fsys.Trace())
		}
		h.adopt(t, what, l)
		if err := h.work(l, rng, rng.IntN(workload), policy == wal.SyncAlways); err != nil {
			t.Fatalf("%s: after reopen: %v", what, err)
		}
		fsys = fsys.Crash(faultfs.DropAll)
	}
	return injected
}

// checkStopped checks that a log refuses everything after a failure.
func checkStopped(t *testing.T, what string, l *wal.Log, fsys *faultfs.FS, told []error) {
	t.Helper()
	if len(told) != 1 || !errors.Is(told[0], faultfs.ErrInjected) {
		t.Fatalf("%s: Fatal was called with %v, want the failure once", what, told)
	}
	before := fsys.Ops()
	_, lastErr := l.LastIndex()
	for name, err := range map[string]error{
		"StoreLog": l.Append(entry(1, 1, 1)), "DeleteRange": l.DeleteRange(0, 1<<62),
		"Read": l.Read(1, &wal.Entry{}), "LastIndex": lastErr, "Sync": l.Sync(),
	} {
		if !errors.Is(err, told[0]) {
			t.Errorf("%s: %s after the failure: got %v, want %v", what, name, err, told[0])
		}
	}
	if fsys.Ops() != before {
		t.Errorf("%s: the log went on writing after the failure", what)
	}
}

// Cutting without the rule about proof must be noticed by these tests: a damaged
// group in the middle then silently ends the log.
func TestControlRecoveryWithoutProof(t *testing.T) {
	fsys := faultfs.New(1)
	l := mustOpen(t, small(fsys))
	for i := range 5 {
		mustStore(t, l, entries(uint64(i+1), 1, 1, 50))
	}
	file := fsys.Names()[0]
	b := fsys.Content(file)
	b[wal.SegmentHead+wal.GroupHead+20] ^= 1
	fsys.SetContent(file, b)
	if _, err := wal.Open(dir, small(fsys)); !isDamage(err) {
		t.Errorf("with the rule: got %v, want damage", err)
	}
	l, err := wal.Open(dir, wal.TrustTail(small(fsys)))
	if err != nil {
		t.Fatalf("without the rule: %v", err)
	}
	if last, _ := l.LastIndex(); last != 0 {
		t.Errorf("without the rule: got %d entries, want the loss to show", last)
	}
}

// A write that a power cut dropped while a later one survived must stay gone, even
// when a new one of the same size takes its place and leads up to the survivor.
func TestSurvivorsBeyondACutStayGone(t *testing.T) {
	fsys := faultfs.New(1)
	opts := small(fsys)
	opts.Sync = wal.SyncInterval
	l := mustOpen(t, opts)
	mustStore(t, l, entries(1, 1, 1, 100))
	l.Pause() // the first write is durable and named so
	name := fsys.Names()[0]
	end := bytes.LastIndex(fsys.Content(name), []byte("KWG1")) + wal.GroupHead
	for run := uint64(2); run < 6; run++ {
		mustStore(t, l, entries(2, run, 1, 100))
		mustStore(t, l, entries(3, run, 1, 100))
		b := fsys.Content(name)
		b[end+wal.GroupHead] ^= 1
		fsys = copied(fsys, name, b)
		opts.FS = fsys
		l = mustOpen(t, opts)
		same(t, "after the cut", contents(t, l), texts(entries(1, 1, 1, 100)))
		if run%2 == 0 {
			continue // the next run writes both again
		}
		mustStore(t, l, entries(2, 10+run, 1, 100))
		fsys = fsys.Crash(faultfs.DropNone)
		opts.FS = fsys
		same(t, "after the kill", contents(t, mustOpen(t, opts)),
			texts(append(entries(1, 1, 1, 100), entries(2, 10+run, 1, 100)...)))
		return
	}
}

// A run that ended between making a segment and making its name durable leaves a
// name that the next run sees and a power cut takes away: what the next run writes
// there must survive all the same.
func TestNamesOfACrashedRunAreMadeDurable(t *testing.T) {
	for cut := 1; cut <= 40; cut++ {
		fsys := faultfs.New(1)
		l := mustOpen(t, small(fsys))
		fsys.FailAt(8)
		l.Append(entry(1, 1, 1000))
		if trace := fsys.Trace(); !strings.HasSuffix(trace, "rename data/log-fresh.tmp data/log-00000002.seg\nsyncdir data") {
			t.Fatalf("the failure hit something else:\n%s", trace)
		}
		fsys.CutAt(cut)
		l, err := wal.Open(dir, small(fsys))
		last := uint64(1)
		for err == nil {
			if err = l.Append(entry(last+1, 1, 1000)); err == nil {
				last++
			}
		}
		l, err = wal.Open(dir, small(fsys.Crash(faultfs.DropAll)))
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if got, _ := l.LastIndex(); got != last && got != last+1 {
			t.Errorf("cut at %d: got %d entries, want %d", cut, got, last)
		}
	}
}

// isDamage tells whether an error names a damaged file completely.
func isDamage(err error) bool {
	var d *disk.DamageError
	return errors.As(err, &d) && d.File != "" && d.Reason != "" && d.Remedy != ""
}
