package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"keywatch/kv"
)

// BenchmarkPropose puts 100 bytes under random keys of 4,096, the log in memory.
func BenchmarkPropose(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) { benchPropose(b, callers) })
	}
}

func benchPropose(b *testing.B, callers int) {
	opts := memory()
	n := open(b, opts)
	keys := make([]string, 4096)
	for i := range keys {
		keys[i] = fmt.Sprint("bench/", i)
	}
	before := n.Stats()
	per := b.N/callers + 1
	b.ReportAllocs()
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
	after := n.Stats()
	b.ReportMetric(float64(per*callers)/b.Elapsed().Seconds(), "puts/s")
	b.ReportMetric(float64(after.Commands-before.Commands)/float64(after.Entries-before.Entries), "puts/entry")
}
