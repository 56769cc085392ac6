package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/cluster"
	"keywatch/cluster/core"
	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/persist/wal"
)

// memory returns the options of a node that keeps everything in memory.
func memory() cluster.Options {
	return cluster.Options{
		Log: wal.NewMemLog(), Stable: new(wal.MemStable), Checkpoints: cluster.MemoryCheckpoints{},
		State: kv.NewState(kv.StateOptions{Presize: 64}), QuickLog: true,
	}
}

func open(t testing.TB, opts cluster.Options) *cluster.Node {
	t.Helper()
	n, err := cluster.Open(t.Context(), opts)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

func put(key, value string, ttl time.Duration) *kv.Command {
	op := kvtest.Put(key, value)
	op.TTL = ttl
	return &kv.Command{Ops: []kv.Op{op}}
}

func mustPropose(t testing.TB, n *cluster.Node, c *kv.Command) kv.Result {
	t.Helper()
	r, err := n.Propose(context.Background(), c)
	if err != nil {
		t.Fatalf("propose: %v", err)
	}
	return r
}

// door is a log store whose writes can be held up or failed. It waits on a
// channel, because a bubble's time stands still while a mutex is waited for.
type door struct {
	*wal.MemLog
	turn chan error // holds the error that writes return, nil for none
}

func newDoor(fail error) *door {
	g := &door{MemLog: wal.NewMemLog(), turn: make(chan error, 1)}
	g.turn <- fail
	return g
}

// shut holds writes up until reopen, which has them fail with err unless nil.
func (g *door) shut()            { <-g.turn }
func (g *door) reopen(err error) { g.turn <- err }

func (g *door) Append(entries ...*wal.Entry) error {
	fail := <-g.turn
	defer func() { g.turn <- fail }()
	if fail != nil {
		return fail
	}
	return g.MemLog.Append(entries...)
}

func (g *door) Keep(commit uint64, entries ...*wal.Entry) error {
	if err := g.Append(entries...); err != nil {
		return err
	}
	return g.MemLog.Keep(commit)
}

// A store over a node must pass the conformance suite, in either way of writing the log.
func TestNodeConforms(t *testing.T) {
	for _, quick := range []bool{true, false} {
		t.Run(fmt.Sprintf("quick=%v", quick), func(t *testing.T) {
			kvtest.Suite(t, func(t *testing.T) kvtest.Store {
				opts := memory()
				opts.QuickLog = quick
				return kvtest.Wrap(kv.NewStore(opts.State, open(t, opts), kv.Limits{}))
			})
		})
	}
}

// A store over a node must do with leases and locks what every other does.
func TestNodeCoordinates(t *testing.T) {
	kvtest.CoordinatorSuite(t, func(t *testing.T) kvtest.Coordinator {
		opts := memory()
		return kvtest.Coordinate(kv.NewStore(opts.State, open(t, opts), kv.Limits{}))
	})
}

// A command that finds the queue full must be refused and never be applied, and
// all that was accepted must be applied; meanwhile the log must see few entries.
func TestFullQueueRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newDoor(nil)
		opts := memory()
		opts.Log, opts.QueueCommands, opts.EntryCommands = g, 100, 10
		n := open(t, opts)
		before := n.Stats()
		g.shut()
		const callers = 300
		errs := make([]error, callers)
		var wg sync.WaitGroup
		for i := range callers {
			if i < 10 {
				synctest.Wait() // until as much is in flight as ever will be
			}
			wg.Go(func() { _, errs[i] = n.Propose(context.Background(), put(fmt.Sprint("k", i), "x", 0)) })
		}
		synctest.Wait()
		if got := n.Stats().Queued; got != 100 {
			t.Errorf("queued: got %d, want 100", got)
		}
		g.reopen(nil)
		wg.Wait()
		refused := 0
		for i, err := range errs {
			e, _ := opts.State.Get(fmt.Sprint("k", i))
			switch {
			case err == nil && e == nil:
				t.Errorf("k%d was accepted and is absent", i)
			case err != nil && !errors.Is(err, kv.ErrQueueFull):
				t.Errorf("k%d: got %v, want %v", i, err, kv.ErrQueueFull)
			case err != nil && e != nil:
				t.Errorf("k%d was refused and is there", i)
			case err != nil:
				refused++
			}
		}
		if refused < callers-110 || uint64(refused) != n.Stats().Refused {
			t.Errorf("refused: got %d, counted %d, want all but the 100 queued and a few in flight of %d", refused, n.Stats().Refused, callers)
		}
		if got := n.Stats().Entries - before.Entries; got > 20 {
			t.Errorf("entries: got %d for %d commands, want ten commands in most", got, callers-refused)
		}
	})
}

// The queue must be bounded in bytes too, however long it is never empty.
func TestQueueBytesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newDoor(nil)
		opts := memory()
		opts.Log, opts.QueueBytes, opts.EntryBytes = g, 10_000, 1000
		n := open(t, opts)
		big := put("k", string(make([]byte, 990)), 0)
		for range 3 {
			g.shut()
			var wg sync.WaitGroup
			var accepted sync.Map
			for i := range 30 {
				wg.Go(func() {
					if _, err := n.Propose(context.Background(), big); err == nil {
						accepted.Store(i, nil)
					}
				})
			}
			synctest.Wait()
			time.Sleep(time.Millisecond)
			g.reopen(nil)
			wg.Wait()
			count := 0
			accepted.Range(func(any, any) bool { count++; return true })
			if count < 10 || count > 20 {
				t.Errorf("accepted commands of 1 kB: got %d, want 10 in the queue and a few in flight", count)
			}
		}
	})
}

// A caller who stops waiting must learn that the outcome is unknown, at once.
func TestCancelledCallerLearnsNothing(t *testing.T) {
	g := newDoor(nil)
	opts := memory()
	opts.Log = g
	n := open(t, opts)
	g.shut()
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan error)
	go func() {
		_, err := n.Propose(ctx, put("k", "x", 0))
		got <- err
	}()
	cancel()
	if err := <-got; !errors.Is(err, kv.ErrOutcomeUnknown) {
		t.Errorf("propose: got %v, want %v", err, kv.ErrOutcomeUnknown)
	}
	g.reopen(nil)
	mustPropose(t, n, put("after", "x", 0))
}

// When the log cannot be written, everybody who waits must be told that the
// outcome is unknown, nothing may become visible, and the process must end.
func TestFailedLogLeavesOutcomeUnknown(t *testing.T) {
	for _, quick := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) { failLog(t, quick) })
	}
}

func failLog(t *testing.T, quick bool) {
	g := newDoor(nil)
	opts := memory()
	ended := make(chan error, 10)
	opts.Log, opts.QuickLog, opts.Fatal = g, quick, func(err error) { ended <- err }
	n := open(t, opts)
	mustPropose(t, n, put("before", "x", 0))
	g.shut()
	g.reopen(errors.New("disk on fire"))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, err := n.Propose(context.Background(), put(fmt.Sprint("k", i), "x", 0))
			if !errors.Is(err, kv.ErrOutcomeUnknown) && !errors.Is(err, kv.ErrNoLeader) {
				t.Errorf("propose: got %v, want %v or %v", err, kv.ErrOutcomeUnknown, kv.ErrNoLeader)
			}
		})
	}
	wg.Wait()
	if got := opts.State.Len(); got != 1 {
		t.Errorf("keys: got %d, want 1", got)
	}
	if err := <-ended; err == nil || len(ended) > 0 {
		t.Errorf("the node ended with %v and %d more errors, want one", err, len(ended))
	}
	if err := n.Ready(); !errors.Is(err, kv.ErrNoLeader) {
		t.Errorf("ready: got %v, want %v", err, kv.ErrNoLeader)
	}
}

// Close must answer everybody, refuse all who come later, be callable twice and
// by many, and leave no goroutine behind: the bubble sees to that.
func TestCloseAnswersEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := memory()
		n := open(t, opts)
		var wg sync.WaitGroup
		var mu sync.Mutex
		applied := make(map[string]bool)
		for i := range 32 {
			wg.Go(func() {
				for j := 0; ; j++ {
					key := fmt.Sprintf("k%d/%d", i, j)
					_, err := n.Propose(context.Background(), put(key, "x", 0))
					if err != nil {
						if !errors.Is(err, kv.ErrStopping) {
							t.Errorf("propose: got %v, want %v", err, kv.ErrStopping)
						}
						return
					}
					mu.Lock()
					applied[key] = true
					enough := len(applied) == 500
					mu.Unlock()
					if enough {
						wg.Go(func() { n.Close() })
					}
				}
			})
		}
		wg.Wait()
		if err := n.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		if got := opts.State.Len(); got != len(applied) {
			t.Errorf("keys: got %d, want the %d acknowledged", got, len(applied))
		}
		if err := n.ReadBarrier(context.Background()); !errors.Is(err, kv.ErrStopping) {
			t.Errorf("read after close: got %v, want %v", err, kv.ErrStopping)
		}
	})
}

// An Open that fails must leave nothing running.
func TestFailedOpenLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := cluster.Open(ctx, memory()); !errors.Is(err, context.Canceled) {
			t.Errorf("open: got %v, want %v", err, context.Canceled)
		}
		for _, kept := range []bool{false, true} {
			opts := memory()
			g := newDoor(nil)
			opts.Log, opts.Fatal = g, func(error) {}
			if kept {
				open(t, opts).Close()
				opts.State = kv.NewState(kv.StateOptions{Presize: 64})
			}
			g.shut()
			g.reopen(errors.New("disk on fire"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if n, err := cluster.Open(ctx, opts); err == nil {
				t.Errorf("open over a log that cannot be written: got %v, want an error", n)
			}
			cancel()
		}
	})
}

// A checkpoint must let go of the log, and the node must go on.
func TestCheckpointCutsLog(t *testing.T) {
	opts := memory()
	n := open(t, opts)
	for i := range 20 {
		mustPropose(t, n, put(fmt.Sprint("k", i), "x", 0))
	}
	for range 2 { // the second has nothing to do
		if err := n.Checkpoint(t.Context()); err != nil {
			t.Fatalf("checkpoint: %v", err)
		}
	}
	if got := opts.State.Stats().DirtyKeys; got != 0 {
		t.Errorf("dirty keys: got %d, want 0", got)
	}
	first, _ := opts.Log.FirstIndex()
	last, _ := opts.Log.LastIndex()
	if last-first > 2 && first != 0 {
		t.Errorf("log: got entries %d to %d, want hardly any", first, last)
	}
	if r := mustPropose(t, n, put("k1", "y", 0)); r.Ops[0].Entry.Version != 2 {
		t.Errorf("version: got %d, want 2", r.Ops[0].Entry.Version)
	}
}

// brokenStable cannot be written.
type brokenStable struct{ core.Stable }

func (brokenStable) SetHard(wal.Hard) error { return errors.New("no room for the term") }

// If a start that cannot write its term went on, a server could vote twice in it; and an
// operator must read the reason.
func TestStartThatCannotWriteItsTermFails(t *testing.T) {
	opts := memory()
	open(t, opts).Close()
	opts.State = kv.NewState(kv.StateOptions{Presize: 64})
	opts.Stable, opts.Fatal = brokenStable{opts.Stable}, func(error) {}
	if _, err := cluster.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "no room for the term") {
		t.Errorf("got %v, want the reason", err)
	}
}
