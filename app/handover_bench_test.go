package app_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"keywatch/app"
)

// BenchmarkHandOver releases a lock that 200 wait for: the time from sending the
// release to the answer of the next, beside that of a put alone, which pays for
// the same way through HTTP and the log. In memory the disk is left out.
func BenchmarkHandOver(b *testing.B) {
	b.Run("durable", func(b *testing.B) {
		handOver(b, newBenchServer(b))
	})
	b.Run("memory", func(b *testing.B) {
		handOver(b, newBenchServerWith(b, app.Config{MemoryOnly: true}))
	})
}

func handOver(b *testing.B, s *benchServer) {
	const waiting = 200
	var h held
	s.do(200, "POST", "/v1/locks/l", `{"ttl":"1h"}`, &h)
	s.do(201, "PUT", "/v1/kv/k", "", nil)
	got := make(chan held, waiting)
	var asking sync.WaitGroup
	ask := func() {
		asking.Go(func() {
			var h held
			s.do(200, "POST", "/v1/locks/l", `{"ttl":"1h","wait":"5m"}`, &h)
			got <- h
		})
	}
	full := func() {
		for s.queue() < waiting {
			time.Sleep(time.Millisecond)
		}
	}
	for range waiting {
		ask()
	}
	full()
	var took, put []time.Duration
	for b.Loop() {
		began := time.Now()
		s.unlock(h)
		h = <-got
		took = append(took, time.Since(began))
		ask()
		full() // or the next release would queue behind who has come for it
		began = time.Now()
		s.do(200, "PUT", "/v1/kv/k", "", nil)
		put = append(put, time.Since(began))
	}
	s.unlock(h)
	for range waiting {
		s.unlock(<-got)
	}
	asking.Wait()
	for what, all := range map[string][]time.Duration{"handover": took, "put": put} {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), what+"-p99-us")
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), what+"-p50-us")
	}
}
