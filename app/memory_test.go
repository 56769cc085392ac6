package app_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/watch"
)

// tightMemory is a configuration in which some hundred values fit into memory.
func tightMemory(dir string) app.Config {
	return app.Config{
		Data: dir, Fsync: "interval", MemoryMax: 2 << 20, History: 256 << 10,
		CheckpointBytes: 128 << 10, TombstoneMax: 50,
	}
}

func openEngine(t testing.TB, c app.Config) *app.Engine {
	t.Helper()
	e, err := app.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// bulky returns a value of about 4 KiB that names key and n.
func bulky(key string, n uint64) string {
	return strings.Repeat(fmt.Sprintf("%s=%d ", key, n), 4096/(len(key)+10))
}

// A worker writes to keys of its own and knows what they must hold.
type worker struct {
	t      *testing.T
	engine *app.Engine
	prefix string
	rnd    *rand.Rand
	want   map[string]string
	count  uint64
}

// step does one random operation and checks what it reads.
func (w *worker) step() {
	key := fmt.Sprintf("%s/%d", w.prefix, w.rnd.IntN(400))
	old, present := w.want[key]
	ctx := w.t.Context()
	var err error
	switch n := w.rnd.IntN(10); {
	case n < 4:
		w.count++
		v := bulky(key, w.count)
		_, err = w.engine.Put(ctx, key, []byte(v))
		w.note(key, v, err)
	case n < 5:
		_, err = w.engine.Delete(ctx, key)
		if err == nil {
			delete(w.want, key)
		}
	case n < 6 && present:
		w.count++
		v := bulky(key, w.count)
		var r kv.Result
		r, err = w.engine.Do(ctx, &kv.Command{
			Checks: []kv.Check{{Kind: kv.CheckValue, Key: key, Value: []byte(old)}},
			Ops:    []kv.Op{{Kind: kv.OpPut, Key: key, Value: []byte(v)}},
		})
		if err == nil && r.Outcome != kv.Committed {
			w.t.Errorf("compare of %q with what it holds: got %v", key, r.Outcome)
		}
		w.note(key, v, err)
	default:
		var e *kv.Entry
		e, err = w.engine.Get(ctx, key)
		if err == nil {
			w.check(key, e)
		}
	}
	if err != nil && !errors.Is(err, kv.ErrMemoryFull) {
		w.t.Errorf("%q: %v", key, err)
	}
}

func (w *worker) note(key, value string, err error) {
	if err == nil {
		w.want[key] = value
	}
}

func (w *worker) check(key string, e *kv.Entry) {
	want, present := w.want[key]
	switch {
	case (e != nil) != present:
		w.t.Errorf("%q: got present %v, want %v", key, e != nil, present)
	case present && e.Value() != want:
		w.t.Errorf("%q: got %.40q, want %.40q", key, e.Value(), want)
	}
}

// checkAll compares a list with what must be there.
func (w *worker) checkAll() {
	items, err := w.list()
	for errors.Is(err, kv.ErrSnapshotLost) { // a writer needed the room
		items, err = w.list()
	}
	if err != nil {
		w.t.Fatalf("list: %v", err)
	}
	for _, item := range items {
		w.check(item.Key, item.Entry)
	}
	if len(items) != len(w.want) {
		w.t.Errorf("list of %s: got %d keys, want %d", w.prefix, len(items), len(w.want))
	}
}

func (w *worker) list() (items []app.Item, err error) {
	for item, err := range w.engine.List(w.t.Context(), w.prefix+"/") {
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// fold keeps what a watch of everything tells, until it has told pos.
func fold(t *testing.T, e *app.Engine, pos kv.Position) map[string]string {
	held := make(map[string]string)
	for m, err := range e.Watch(t.Context(), watch.Request{Prefixes: []string{""}}) {
		if err != nil {
			t.Fatalf("watch: %v", err)
		}
		switch m.Kind {
		case watch.Put:
			held[m.Key] = m.Entry.Value()
		case watch.Delete:
			delete(held, m.Key)
		}
		if m.HasAt && m.At.Rev >= pos.Rev && m.Kind != watch.Reset {
			break
		}
	}
	return held
}

// With a limit that holds a few hundred values and evictor, checkpoints, sweeper and
// compaction at work, no read, list, compare or watch may ever see a lost or
// stale value, before a restart or after.
func TestTinyMemory(t *testing.T) {
	dir := t.TempDir()
	workers := newWorkers(t, 5)
	for round := range 3 {
		e := openEngine(t, tightMemory(dir))
		workUntil(t, e, workers, allAtWork)
		s := e.Status()
		if s.Memory.Used > s.Memory.Limit+s.Memory.Limit/4 {
			t.Errorf("round %d: %d bytes in use, the limit is %d", round, s.Memory.Used, s.Memory.Limit)
		}
		if !allAtWork(e) {
			t.Errorf("round %d: the test tests nothing: %+v %+v", round, s.Tiers, s.Checkpoint)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// newWorkers returns three, whose random steps follow from seed.
func newWorkers(t *testing.T, seed uint64) []*worker {
	workers := make([]*worker, 3)
	for i := range workers {
		workers[i] = &worker{
			t: t, prefix: fmt.Sprintf("w%d", i), rnd: rand.New(rand.NewPCG(seed, uint64(i))), want: make(map[string]string),
		}
	}
	return workers
}

// workUntil has the workers take 1,500 steps each on e, while the checkpoint file is
// compacted all the time, and on until enough has happened: how soon that is depends
// on the machine. It gives up after a hundred times as many.
func workUntil(t *testing.T, e *app.Engine, workers []*worker, enough func(*app.Engine) bool) {
	const least, most, look = 1500, 150_000, 100
	for _, w := range workers {
		w.engine = e
		w.checkAll()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var busy, work sync.WaitGroup
	busy.Go(func() { compactUntilDone(ctx, t, e) })
	for _, w := range workers {
		work.Go(func() {
			for n := 0; n < least || n < most && (n%look != 0 || !enough(e)); n++ {
				w.step()
			}
			w.checkAll()
		})
	}
	work.Wait()
	cancel()
	busy.Wait()
	checkFolded(t, e, workers)
}

// allAtWork reports whether values were dropped, read again and kept, and ranges
// of the checkpoint swept.
func allAtWork(e *app.Engine) bool {
	s := e.Status()
	return s.Tiers.Evictions > 0 && s.Tiers.Disk.Reads > 0 && s.Tiers.Promotions > 0 && s.Checkpoint.Sweeps > 0
}

func compactUntilDone(ctx context.Context, t *testing.T, e *app.Engine) {
	for ctx.Err() == nil {
		if err := e.Compact(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("compact: %v", err)
			return
		}
		if err := e.Checkpoint(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("checkpoint: %v", err)
			return
		}
	}
}

// checkFolded compares what a watch from the state on tells with what must be
// there.
func checkFolded(t *testing.T, e *app.Engine, workers []*worker) {
	t.Helper()
	held := fold(t, e, e.Store().State().Position())
	n := 0
	for _, w := range workers {
		n += len(w.want)
		for key, want := range w.want {
			if held[key] != want {
				t.Errorf("watch of %q: got %.40q, want %.40q", key, held[key], want)
			}
		}
	}
	if len(held) != n {
		t.Errorf("watch: got %d keys, want %d", len(held), n)
	}
}

// At the limit a writer must be refused, unharmed and with what to change, while
// deletions go on and make room; nothing may be held back for good.
func TestMemoryFull(t *testing.T) {
	e := openEngine(t, app.Config{MemoryOnly: true, MemoryMax: 2 << 20, History: 256 << 10})
	var err error
	n := 0
	for ; err == nil && n < 4096; n++ {
		_, err = e.Put(t.Context(), fmt.Sprintf("k%d", n), make([]byte, 8<<10))
	}
	if !errors.Is(err, kv.ErrMemoryFull) {
		t.Fatalf("after %d writes of 8 KiB into 2 MiB: got %v, want %v", n, err, kv.ErrMemoryFull)
	}
	if got, err := e.Get(t.Context(), fmt.Sprintf("k%d", n-1)); got != nil || err != nil {
		t.Errorf("the refused write: got %v, %v, want nothing", got, err)
	}
	for i := range n / 2 {
		if _, err := e.Delete(t.Context(), fmt.Sprintf("k%d", i)); err != nil {
			t.Fatalf("delete at the limit: %v", err)
		}
	}
	if _, err := e.Put(t.Context(), "again", make([]byte, 8<<10)); err != nil {
		t.Errorf("after deletions: %v", err)
	}
	if s := e.Status().Memory; s.Refused == 0 || s.Waited == 0 {
		t.Errorf("got %+v, want what was refused counted", s)
	}
}

// The log of a store that is memory only is memory too: if it did not count, keys that are
// overwritten would take far more than the limit between two checkpoints. And it must make
// room before a writer is refused.
func TestLogInMemoryCounts(t *testing.T) {
	const limit, size = 8 << 20, 64 << 10
	e := openEngine(t, app.Config{MemoryOnly: true, MemoryMax: limit, History: 256 << 10})
	var most int64
	for i := range 4 * limit / size {
		if _, err := e.Put(t.Context(), fmt.Sprintf("k%d", i%8), make([]byte, size)); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
		most = max(most, e.LogBytes())
		s := e.Status().Memory
		if sum := e.LogBytes() + s.Values + s.Keys + s.History; sum > limit+limit/4 {
			t.Fatalf("write %d: %d bytes, the limit is %d: %+v", i, sum, limit, s)
		}
	}
	if s := e.Status(); s.Memory.Refused > 0 || most < limit/16 {
		t.Errorf("got %+v, at most %d bytes of log", s.Memory, most)
	}
	if _, err := e.Put(t.Context(), "k", make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if s := e.Status().Memory; s.Log > 0 && s.Used < s.Values+s.Log {
		t.Errorf("got %+v, want the log counted", s)
	}
}

// Data four times --memory-max must leave the heap below the limit, half of it
// for the garbage collector, and a fixed part; and a restart must not load it.
func TestHeapStaysBelowLimit(t *testing.T) {
	const limit, size = 24 << 20, 4 << 10
	config := app.Config{Data: t.TempDir(), Fsync: "interval", MemoryMax: limit, History: 2 << 20, CheckpointBytes: 16 << 20}
	before := heap()
	e := openEngine(t, config)
	fill(t, e, 4*limit/size, size)
	check := func(e *app.Engine, when string) {
		t.Helper()
		if grown := heap() - before; grown > limit+limit/2+heapFixed {
			t.Errorf("%s: the heap grew by %d bytes, the limit is %d", when, grown, limit)
		}
		if s := e.Status(); s.Memory.Used > limit || s.Tiers.Disk.Keys < 2*limit/size {
			t.Errorf("%s: got %+v %+v", when, s.Memory, s.Tiers)
		}
	}
	check(e, "filled")
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.07, 1, uint64(4*limit/size-1))
	for range 20_000 {
		key := fmt.Sprintf("k%d", zipf.Uint64())
		if got, err := e.Get(t.Context(), key); err != nil || got.Size() != size {
			t.Fatalf("get %s: %v", key, err)
		}
	}
	check(e, "read")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openEngine(t, config)
	check(e, "restarted")
}

// heapFixed is what the engine takes whatever the limit is.
const heapFixed = 24 << 20

// heap returns what is alive, after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// fill writes n keys from many goroutines; each tries again while memory is
// full.
func fill(t *testing.T, e *app.Engine, n, size int) {
	t.Helper()
	next, ctx := make(chan int), gate.Context(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range next {
				key := fmt.Sprintf("k%d", i)
				_, err := e.Put(t.Context(), key, []byte(strings.Repeat("x", size)))
				for errors.Is(err, kv.ErrMemoryFull) && ctx.Err() == nil {
					_, err = e.Put(t.Context(), key, []byte(strings.Repeat("x", size)))
				}
				if err != nil {
					t.Errorf("put %s: %v", key, err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
