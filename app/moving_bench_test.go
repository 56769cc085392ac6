package app_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/test/cputime"
)

// movingSize is what BenchmarkWhileMoving moves to object storage, in MiB; the
// figures in README are from 4096.
var movingSize = flag.Int("moving", 128, "MiB that the benchmarks of moving values move")

const (
	// movingValue is the length of the values that are moved, movingHot how many
	// keys are read or written meanwhile.
	movingValue = 4 << 10
	movingHot   = 10_000
	// movingRound is how long it is measured with, and then without.
	movingRound = 2 * time.Second
	// movingMost ends it whatever is left to move.
	movingMost = 15 * time.Minute
)

// A tally is what clients did in rounds of one kind, and the processor's time that
// the whole process took for it, with the mover, the collector and all.
type tally struct {
	mu   sync.Mutex
	took []time.Duration
	ops  int64
	cpu  time.Duration
	time time.Duration
}

// perOp returns the processor's time for one operation.
func (t *tally) perOp() float64 { return float64(t.cpu) / float64(t.ops) }

// rate returns operations a second.
func (t *tally) rate() float64 { return float64(t.ops) / t.time.Seconds() }

func (t *tally) quantile(q float64) time.Duration {
	slices.Sort(t.took)
	return t.took[int(q*float64(len(t.took)-1))]
}

// round has clients work for a while. op is one operation; each client's are timed
// if timed says so.
func (t *tally) round(b *testing.B, clients int, timed bool, op func(client, n int)) {
	var running sync.WaitGroup
	var stop atomic.Bool
	cpu, began := cputime.Used(), time.Now()
	for c := range clients {
		running.Go(func() {
			var took []time.Duration
			n := 0
			for ; !stop.Load(); n++ {
				if !timed {
					op(c, n)
					continue
				}
				start := time.Now()
				op(c, n)
				took = append(took, time.Since(start))
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			t.ops += int64(n)
			t.took = append(t.took, took...)
		})
	}
	time.AfterFunc(movingRound, func() { stop.Store(true) })
	running.Wait()
	t.cpu += cputime.Used() - cpu
	t.time += time.Since(began)
}

// A mover has values on disk, and some hot keys in memory. While held is
// locked nothing is moved.
type mover struct {
	*app.Engine
	b    *testing.B
	held sync.Mutex
}

func movingKey(i int) string { return fmt.Sprintf("cold/%08d", i) }
func hotKey(i int) string    { return fmt.Sprintf("hot/%06d", i%movingHot) }

func newMover(b *testing.B) *mover {
	m := &mover{b: b}
	config := app.Config{
		Data: b.TempDir(), Fsync: "interval", History: 16 << 20,
		MemoryMax:   app.Size(64<<20 + *movingSize<<20/8), // keys stay in memory
		ObjectStore: "dir://" + b.TempDir(),
	}
	m.Engine = openEngine(b, config.MovingHeld(func(context.Context) {
		m.held.Lock()
		defer m.held.Unlock()
	}))
	m.fill()
	return m
}

// fill writes what is to be moved, in batches, and the hot keys.
func (m *mover) fill() {
	const batch = 100
	text := strings.Repeat("keywatch moves values ", movingValue/20)
	var next atomic.Int64
	var running sync.WaitGroup
	keys := int64(*movingSize) << 20 / movingValue
	for range 4 {
		running.Go(func() {
			for first := next.Add(batch) - batch; first < keys; first = next.Add(batch) - batch {
				var c kv.Command
				for i := first; i < min(first+batch, keys); i++ {
					value := fmt.Appendf(nil, "%08d %s", i, text)[:movingValue]
					c.Ops = append(c.Ops, kv.Op{Kind: kv.OpPut, Key: movingKey(int(i)), Value: value})
				}
				m.do(&c)
			}
		})
	}
	running.Wait()
	for i := range movingHot {
		m.put(hotKey(i), i)
	}
	if err := m.Checkpoint(m.b.Context()); err != nil {
		m.b.Fatal(err)
	}
}

// do runs a command, again while memory is full.
func (m *mover) do(c *kv.Command) {
	_, err := m.Do(m.b.Context(), c)
	for end := time.Now().Add(time.Minute); errors.Is(err, kv.ErrMemoryFull) && time.Now().Before(end); {
		_, err = m.Do(m.b.Context(), c)
	}
	if err != nil {
		m.b.Error(err)
	}
}

// put writes a value that is too short to be moved.
func (m *mover) put(key string, n int) {
	m.do(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: fmt.Appendf(nil, "hot value %d", n)}}})
}

// checkpoints makes one checkpoint after the other, each with its sweep, until end is
// called, which waits.
func (m *mover) checkpoints() (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-tick.C:
				if err := m.Checkpoint(m.b.Context()); err != nil {
					m.b.Error(err)
				}
			case <-stop:
				tick.Stop()
				return
			}
		}
	}()
	return func() { close(stop); <-ended }
}

// interleave measures rounds with moving and without in turn, until all is moved.
func (m *mover) interleave(clients int, timed bool, op func(client, n int)) (with, without *tally, moved int64) {
	with, without = new(tally), new(tally)
	ctx, cancel := context.WithTimeout(m.b.Context(), movingMost)
	defer cancel()
	m.held.Lock()
	done := make(chan error, 1)
	go func() { done <- m.Migrate(ctx) }()
	for {
		without.round(m.b, clients, timed, op)
		m.held.Unlock()
		end := m.checkpoints()
		with.round(m.b, clients, timed, op)
		end()
		select {
		case err := <-done:
			if err != nil && ctx.Err() == nil {
				m.b.Error(err)
			}
			return with, without, int64(m.Status().Objects.MovedBytes)
		default:
			m.held.Lock()
		}
	}
}

// BenchmarkGetWhileMoving reads hot keys on all processors, while values are moved
// from disk to object storage and checkpoints are written, and while they are not,
// in turn. rate-ratio and
// cpu-ratio are the gets a second, and the gets for a second of the processor, with
// moving over those without.
func BenchmarkGetWhileMoving(b *testing.B) {
	for b.Loop() {
		m := newMover(b)
		with, without, moved := m.interleave(2, false, func(client, n int) {
			key := hotKey(client*7 + n)
			if e, err := m.Get(b.Context(), key); err != nil || e == nil {
				b.Errorf("get %s: %v", key, err)
			}
		})
		b.ReportMetric(with.rate()/without.rate(), "rate-ratio")
		b.ReportMetric(without.perOp()/with.perOp(), "cpu-ratio")
		b.ReportMetric(without.perOp(), "cpu-ns/get")
		b.ReportMetric(float64(moved>>20), "moved-MiB")
		b.ReportMetric(float64(moved>>20)/with.time.Seconds(), "MiB/s")
		m.Close()
	}
}

// BenchmarkPutWhileMoving writes hot keys one after another, while values are moved,
// checkpoints written and ranges swept, and while they are not, in turn.
func BenchmarkPutWhileMoving(b *testing.B) {
	for b.Loop() {
		m := newMover(b)
		with, without, moved := m.interleave(4, true, func(client, n int) { m.put(hotKey(client*2500+n%2500), n) })
		for q, name := range map[float64]string{0.5: "p50", 0.99: "p99"} {
			b.ReportMetric(float64(without.quantile(q).Microseconds()), "without-"+name+"-us")
			b.ReportMetric(float64(with.quantile(q).Microseconds()), "with-"+name+"-us")
		}
		b.ReportMetric(float64(with.quantile(0.99))/float64(without.quantile(0.99)), "p99-ratio")
		b.ReportMetric(float64(moved>>20), "moved-MiB")
		m.Close()
	}
}
