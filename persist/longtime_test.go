package persist_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/persist"
	"keywatch/persist/object"
	"keywatch/persist/wal"
	"keywatch/test/gate"
)

// ages is how long TestProofLongTime lasts.
var ages = flag.Duration("longtime", 25*time.Second, "how long the proof of long times goes on")

// A longTime is a store on real files of which days pass in a minute: nothing in a state
// reads a clock, so that log time is whatever the entries say. In each phase crowds of
// everything that can end come, live through background work, restarts and crashes, and end
// until nothing is left. A simple model knows what must be there.
type longTime struct {
	t    testing.TB
	seed uint64
	rng  *rand.Rand
	root string
	// dir is the data folder, dirs how many there were: after a crash a copy continues.
	dir     string
	dirs    int
	opts    persist.Options
	objects *object.Dir

	db    *persist.DB
	state *kv.State
	mover *object.Mover
	model *kvtest.Model
	// index and time are those of the last entry.
	index uint64
	time  int64
	// drawn counts names that are used once.
	drawn int
	// held is a snapshot that is kept open, nil for none, and heldModel the model then.
	held      *kv.Snapshot
	heldModel *kvtest.Model

	work
	// usual is how many units of work each kind took the last time.
	usual map[string]int
	// done counts what happened, so that a test can tell that it saw something.
	done map[string]int
}

// quiet has no log and no fsyncs, and the bounds that servers have: a process crashes here, not a
// machine. small has small ranges and transactions, so that a crowd has many of them.
var (
	quiet = persist.Options{
		SegmentSize: 64 << 10, Sync: wal.SyncInterval, Interval: time.Hour, Logger: slog.New(slog.DiscardHandler),
	}
	small = func() persist.Options {
		o := quiet
		o.RangeRecords, o.TxRecords = 40, 25
		return o
	}()
)

func newLongTime(t testing.TB, seed uint64, opts persist.Options) *longTime {
	l := &longTime{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 11)), root: t.TempDir(),
		model: kvtest.NewModel(), done: make(map[string]int), usual: make(map[string]int), time: 1,
	}
	hook := func(string) error { return l.step() }
	l.opts = persist.Hooked(opts, hook, nil)
	l.opts.LoadPinned = func(ctx context.Context) error { return l.state.LoadPinned(ctx) }
	var err error
	if l.objects, err = object.OpenDir(filepath.Join(l.root, "objects")); err != nil {
		t.Fatal(err)
	}
	l.dir = l.newDir()
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.db.Close(false) })
	l.apply(kvtest.Step{Setup: &kv.Setup{Epoch: 7, Params: kv.Params{ExpireMax: 100, TombstoneMax: 500}}})
	return l
}

func (l *longTime) newDir() string {
	l.dirs++
	dir := filepath.Join(l.root, fmt.Sprint("data", l.dirs))
	mustMkdir(l.t, dir)
	return dir
}

// open opens the data folder, loads the state and replays the log.
func (l *longTime) open() (err error) {
	if l.db, err = persist.Open(l.dir, l.opts); err != nil {
		return err
	}
	l.state = kv.NewState(kv.StateOptions{Presize: 256, Cold: coldTiers{l}, MemoryMax: 32 << 10})
	meta, err := l.db.Load(l.state)
	if err != nil {
		return err
	}
	last, err := l.db.Log().LastIndex()
	if err != nil {
		return err
	}
	for i := meta.Index + 1; i <= last; i++ {
		var e wal.Entry
		if err := l.db.Log().Read(i, &e); err != nil {
			return fmt.Errorf("replay %d: %w", i, err)
		}
		if _, err := l.state.Apply(i, e.Term, e.Data); err != nil {
			return fmt.Errorf("replay %d: %w", i, err)
		}
	}
	l.mover = object.NewMover(object.MoverOptions{
		Store: l.objects, ID: 5, Sole: true, State: func() *kv.State { return l.state }, Log: l, SegmentSize: 4 << 10,
		Grace: time.Nanosecond, Step: func(object.Step) error { return l.step() },
	})
	if got := l.state.Applied(); got != l.index {
		return fmt.Errorf("the state is at index %d after the start, want %d", got, l.index)
	}
	return nil
}

// coldTiers reads what is not in memory from where it is stored.
type coldTiers struct{ l *longTime }

func (c coldTiers) ReadCold(ctx context.Context, ref kv.ColdRef) (string, error) {
	if ref.Tier == kv.TierObject {
		return object.Reader{Store: c.l.objects}.ReadCold(ctx, ref)
	}
	return c.l.db.ReadCold(ctx, ref)
}

// apply logs and applies an entry, which must do what the model does.
func (l *longTime) apply(steps ...kvtest.Step) []kv.Result {
	l.t.Helper()
	l.index++
	data := kvtest.Encode(l.time, steps)
	if err := l.db.Log().Append(&wal.Entry{Index: l.index, Term: 1, Type: wal.Command, Data: data}); err != nil {
		l.fatal("store entry %d: %v", l.index, err)
	}
	results, err := l.state.Apply(l.index, 1, data)
	if err != nil {
		l.fatal("apply entry %d: %v", l.index, err)
	}
	want, _, _ := l.model.Apply(l.time, steps)
	for i, r := range results {
		l.compareResult(steps[i].Command, r, want[i])
	}
	return results
}

// Propose implements object.Proposer.
func (l *longTime) Propose(_ context.Context, c *kv.Command) (kv.Result, error) {
	if l.crashed != nil {
		return kv.Result{}, errCrash
	}
	return l.apply(kvtest.Step{Command: c})[0], nil
}

func (l *longTime) fatal(format string, args ...any) {
	l.t.Helper()
	l.t.Fatalf("seed %d, log time %v: %s", l.seed, time.Duration(l.time)*time.Millisecond, fmt.Sprintf(format, args...))
}

var (
	// errWork is what background work fails with that does more than its bound, errCrash what
	// everything fails with once the process is said to have crashed.
	errWork  = errors.New("more work than there can be")
	errCrash = errors.New("the process has crashed")
)

// work bounds what one background step does, and breaks it off on purpose. Its unit is a
// transaction of the checkpoint file, or a step of moving values.
type work struct {
	doing         string
	did, most     int
	calm          bool // nothing is broken off
	failAt, endAt int  // units that fail, or that never are, because the process has crashed; 0 for none
	crashed       *crash
}

// A crash is what was on disk when the process crashed, and what must be there.
type crash struct {
	dir   string
	model *kvtest.Model
	index uint64
	time  int64
}

// step is called for each unit of work, before it is done.
func (l *longTime) step() error {
	l.did++
	switch {
	case l.crashed != nil:
		return errCrash
	case l.did > l.most:
		return errWork
	case l.did == l.endAt:
		l.crashed = &crash{l.newDir(), l.model.Clone(), l.index, l.time}
		copyQuiet(l.dir, l.crashed.dir)
		return errCrash
	case l.did == l.failAt:
		return errHook
	}
	return nil
}

// copyQuiet copies a folder as it is at one moment: it begins again if files came or went
// meanwhile, as those of the log do when they are prepared and given up. That it cannot copy
// shows when the copy is opened.
func copyQuiet(from, to string) {
	for before, after := "", "begun"; before != after; after = names(from) {
		before = names(from)
		_ = errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from)))
	}
}

// names returns the names of the files in a folder.
func names(dir string) string {
	files, err := os.ReadDir(dir)
	return fmt.Sprint(files, err)
}

// watchdog is how long a step may go on before all goroutines are shown: it is not how quick
// a step must be.
const watchdog = 5 * time.Minute

// background does a step that may take most units of work, and recovers from what was broken
// off.
func (l *longTime) background(name string, most int, do func() error) {
	l.t.Helper()
	l.doing, l.did, l.most, l.failAt, l.endAt = name, 0, most, 0, 0
	switch n := l.rng.IntN(8); {
	case l.calm:
	case n == 0:
		l.failAt = 1 + l.rng.IntN(l.usual[name]+1)
	case n == 1:
		l.endAt = 1 + l.rng.IntN(l.usual[name]+1)
	}
	dog := time.AfterFunc(watchdog, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("seed %d: %s does not end; %d of at most %d units of work are done", l.seed, name, l.did, most))
	})
	defer dog.Stop()
	err := do()
	l.usual[name] = max(l.did, l.usual[name]/2)
	switch {
	case l.did > l.most:
		l.fatal("%s: %v: %d units, want at most %d", name, errWork, l.did, l.most)
	case l.crashed != nil:
		l.done["crash in "+name]++
		l.recover()
	case errors.Is(err, errHook):
		l.done["failed "+name]++
	case err != nil:
		l.fatal("%s: %v", name, err)
	default:
		l.done[name]++
	}
	l.failAt, l.endAt, l.most = 0, 0, 1<<30
}

// recover starts from what was on disk when the process crashed.
func (l *longTime) recover() {
	c := l.crashed
	l.crashed = nil
	l.letGo()
	_ = l.db.Close(false) // what it fails with is the crash
	old := l.dir
	l.dir, l.model, l.index, l.time = c.dir, c.model, c.index, c.time
	l.failAt, l.endAt, l.most = 0, 0, 1<<30
	if err := l.open(); err != nil {
		l.fatal("start after a crash in %s: %v", l.doing, err)
	}
	l.judge("after a crash in " + l.doing)
	if err := os.RemoveAll(old); err != nil {
		l.fatal("%v", err)
	}
}

// run lives through phases while more says so.
func (l *longTime) run(most int, more func(phase int) bool) {
	for phase := 0; more(phase); phase++ {
		l.phase(most)
	}
	l.t.Logf("seed %d: %.1f days of log time, %d entries, revision %d, %v",
		l.seed, float64(l.time)/86_400_000, l.index, l.model.Rev, l.done)
}

// If this failed, something that ordinary use leads to would stop a store: everything of a kind
// that ended at once, before a checkpoint, a sweep, a restart, a move or a compaction.
func TestLongTime(t *testing.T) {
	for seed := range uint64(4) {
		l := newLongTime(t, seed, []persist.Options{quiet, small}[seed%2])
		l.run(250, func(phase int) bool { return phase < 3 })
	}
}

// TestProofLongTime is TestLongTime with larger crowds, for longer.
func TestProofLongTime(t *testing.T) {
	gate.Long(t)
	end := time.Now().Add(*ages)
	seed := gate.Seed(t)
	for i, opts := range []persist.Options{quiet, small} {
		l := newLongTime(t, seed, opts)
		until := time.Now().Add(time.Until(end) / time.Duration(2-i))
		l.run(700, func(phase int) bool { return phase < 2 || time.Now().Before(until) })
	}
}
