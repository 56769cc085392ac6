package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/persist/wal"
	"keywatch/test/cputime"
	"keywatch/test/gate"
)

// BenchmarkPropose puts 100 bytes under random keys of 4,096, the log in memory or on a disk
// that is synced for each entry. Processor time is that of the whole process.
func BenchmarkPropose(b *testing.B) {
	for _, log := range []string{"memory", "disk"} {
		for _, callers := range []int{1, 64, 256} {
			b.Run(fmt.Sprint("log=", log, "/callers=", callers), func(b *testing.B) {
				opts := memory()
				if log == "disk" {
					opts.Log, opts.QuickLog = openLog(b), false
				}
				benchPropose(b, opts, callers)
			})
		}
	}
}

func openLog(b *testing.B) *wal.Log {
	l, err := wal.Open(b.TempDir(), wal.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return l
}

func benchPropose(b *testing.B, opts cluster.Options, callers int) {
	benchCallers(b, open(b, opts), callers)
}

func benchCallers(b *testing.B, n *cluster.Node, callers int) {
	keys := make([]string, 4096)
	for i := range keys {
		keys[i] = fmt.Sprint("bench/", i)
	}
	before := n.Stats()
	per := b.N/callers + 1
	b.ReportAllocs()
	used := cputime.Used()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(rand.Uint64(), 1))
			c := kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Value: make([]byte, 100)}}}
			for range per {
				c.Ops[0].Key = keys[r.IntN(len(keys))]
				if _, err := n.Propose(context.Background(), &c); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	used = cputime.Used() - used
	after := n.Stats()
	b.ReportMetric(float64(per*callers)/b.Elapsed().Seconds(), "puts/s")
	b.ReportMetric(float64(used.Nanoseconds())/float64(per*callers), "cpu-ns/put")
	if entries := after.Entries - before.Entries; entries > 0 { // none at a follower
		b.ReportMetric(float64(after.Commands-before.Commands)/float64(entries), "puts/entry")
	}
}

// BenchmarkThree puts as BenchmarkPropose does, on the leader or a follower of three servers in this
// process over real connections,
// each with a log that is synced.
func BenchmarkThree(b *testing.B) {
	for _, at := range []string{"leader", "follower"} {
		for _, callers := range []int{1, 64, 512} {
			b.Run(fmt.Sprint("at=", at, "/callers=", callers), func(b *testing.B) {
				w := newWires(b, 100*time.Millisecond)
				defer w.end()
				gate.Until(b, w.ready, "three servers take commands")
				id := 1
				for id < 3 && w.node[id].Stats().Leader != (at == "leader") {
					id++
				}
				benchCallers(b, w.node[id], callers)
			})
		}
	}
}

// BenchmarkFollowerReads waits for linearizable reads on a follower of three.
func BenchmarkFollowerReads(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			w := newWires(b, 100*time.Millisecond)
			defer w.end()
			gate.Until(b, w.ready, "three servers take commands")
			id := 1
			for id < 3 && w.node[id].Stats().Leader {
				id++
			}
			per := b.N/callers + 1
			b.ResetTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for range per {
						if err := w.node[id].ReadBarrier(context.Background()); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(per*callers)/b.Elapsed().Seconds(), "reads/s")
		})
	}
}
