package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/persist/wal"
	"keywatch/test/cputime"
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
	n := open(b, opts)
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
	b.ReportMetric(float64(after.Commands-before.Commands)/float64(after.Entries-before.Entries), "puts/entry")
}
