//go:build unix

package persist_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/wal"
	"keywatch/test/cputime"
)

// benchKeys is the number of keys in benchmarks of the checkpoint.
const benchKeys = 1_000_000

// A bench is a real folder and a state with many keys.
type bench struct {
	db    *persist.DB
	state *kv.State
	index uint64
	b     testing.TB
}

func newBench(b testing.TB, dir string) *bench {
	b.Helper()
	db, err := persist.Open(dir, persist.Options{Logger: tight.Logger})
	if err != nil {
		b.Fatal(err)
	}
	n := &bench{db: db, state: kv.NewState(kv.StateOptions{Presize: benchKeys}), b: b}
	if _, err := db.Load(n.state); err != nil {
		b.Fatal(err)
	}
	return n
}

// fill puts every key once, without the log.
func (n *bench) fill() {
	value := strings.Repeat("v", 100)
	commands := make([]*kv.Command, 0, 500)
	for i := range benchKeys {
		commands = append(commands, put(fmt.Sprintf("tenant/%d/user/%07d", i%97, i), value, 0))
		if len(commands) == cap(commands) {
			n.index++
			if _, err := n.state.Apply(n.index, 1, kv.EncodeEntry(1, commands...)); err != nil {
				n.b.Fatal(err)
			}
			commands = commands[:0]
		}
	}
}

func (n *bench) checkpoint() {
	cp, err := n.state.Freeze()
	if err != nil {
		n.b.Fatal(err)
	}
	if err := n.db.Checkpoint(cp, cp.Meta().Index, 1, nil); err != nil {
		n.b.Fatal(err)
	}
}

// written returns the bytes that this process has written to disks.
func written(b testing.TB) float64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if s, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(s), 64)
			return n
		}
	}
	return 0
}

// BenchmarkCheckpoint writes a first checkpoint of a million keys, then a second after every
// key has changed, which replaces and sweeps the first. s is until it counts; the rest is
// with the sweep.
func BenchmarkCheckpoint(b *testing.B) {
	for b.Loop() {
		n := newBench(b, b.TempDir())
		for _, what := range []string{"first", "second"} {
			n.fill()
			before, cpu, begun := written(b), cputime.Used(), time.Now()
			n.checkpoint()
			took := time.Since(begun)
			s := n.db.Stats()
			b.ReportMetric(s.Took.Seconds(), what+"-s")
			b.ReportMetric((cputime.Used() - cpu).Seconds(), what+"-cpu-s")
			b.ReportMetric(benchKeys/took.Seconds(), what+"-records/s")
			b.ReportMetric((written(b)-before)/float64(s.LastBytes), what+"-amplification")
			b.ReportMetric(float64(s.FileBytes)/float64(s.LiveBytes), what+"-file/live")
		}
		n.db.Close(true)
	}
}

// BenchmarkLoad opens a folder with a million keys and loads them.
func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	n := newBench(b, dir)
	n.fill()
	n.checkpoint()
	n.db.Close(true)
	for b.Loop() {
		begun := time.Now()
		db, err := persist.Open(dir, persist.Options{Logger: tight.Logger})
		if err != nil {
			b.Fatal(err)
		}
		opened := time.Since(begun)
		state := kv.NewState(kv.StateOptions{Presize: benchKeys})
		if _, err := db.Load(state); err != nil {
			b.Fatal(err)
		}
		if state.Len() != benchKeys {
			b.Fatalf("loaded %d keys", state.Len())
		}
		b.ReportMetric(opened.Seconds(), "open-s")
		db.Close(true)
	}
}

// BenchmarkWriteDuringCheckpoint logs and applies groups of 64 puts one after another, alone
// and while a million keys are being written.
func BenchmarkWriteDuringCheckpoint(b *testing.B) {
	for b.Loop() {
		n := newBench(b, b.TempDir())
		n.fill()
		if err := n.db.Log().Append(&wal.Entry{Index: 1, Term: 1}); err != nil {
			b.Fatal(err)
		}
		logged := uint64(1)
		p99 := func(running func() bool) time.Duration {
			var took []time.Duration
			for running() {
				begun := time.Now()
				commands := make([]*kv.Command, 64)
				for i := range commands {
					commands[i] = put(fmt.Sprintf("tenant/1/user/%07d", len(took)*64+i), "changed", 0)
				}
				data := kv.EncodeEntry(1, commands...)
				logged++
				n.index++
				if err := n.db.Log().Append(&wal.Entry{Index: logged, Term: 1, Data: data}); err != nil {
					b.Fatal(err)
				}
				if _, err := n.state.Apply(n.index, 1, data); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begun))
			}
			slices.Sort(took)
			return took[len(took)*99/100]
		}
		left := 3000
		alone := p99(func() bool { left--; return left > 0 })
		done := make(chan struct{})
		go func() { n.checkpoint(); close(done) }()
		during := p99(func() bool {
			select {
			case <-done:
				return false
			default:
				return true
			}
		})
		b.ReportMetric(float64(alone.Microseconds()), "alone-p99-us")
		b.ReportMetric(float64(during.Microseconds()), "during-p99-us")
		b.ReportMetric(n.db.Stats().Took.Seconds(), "checkpoint-s")
		n.db.Close(true)
	}
}
