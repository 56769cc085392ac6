package web_test

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/kv/latency"
	"keywatch/web"
)

// A native histogram whose buckets are placed wrongly, or whose counts do not add up, is refused
// by Prometheus, or draws other latencies than there were.
func TestHistogram(t *testing.T) {
	var h latency.Histogram
	for _, d := range []time.Duration{100, time.Second, time.Second, 2 * time.Second, time.Minute} {
		h.Observe(d)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collected{&h, prometheus.NewDesc("x_seconds", "x", []string{"b", "a"}, nil)})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	m := families[0].Metric[0]
	if m.Label[0].GetName() != "a" || m.Label[0].GetValue() != "2" {
		t.Errorf("labels: got %v", m.Label)
	}
	d := m.Histogram
	if d.GetSampleCount() != 5 || math.Abs(d.GetSampleSum()-64.0000001) > 1e-9 || d.GetSchema() != 2 || d.GetZeroCount() != 1 {
		t.Errorf("got %v", d)
	}
	// Second: key 0; two seconds: key 4; a minute: key 24.
	offsets, lengths := []int32{0, 3, 19}, uint32(1)
	for i, s := range d.PositiveSpan {
		if s.GetOffset() != offsets[i] || s.GetLength() != lengths {
			t.Errorf("span %d: got %v, want offset %d", i, s, offsets[i])
		}
	}
	if len(d.PositiveSpan) != 3 || len(d.PositiveDelta) != 3 || d.PositiveDelta[0] != 2 || d.PositiveDelta[1] != -1 || d.PositiveDelta[2] != 0 {
		t.Errorf("got %v %v", d.PositiveSpan, d.PositiveDelta)
	}
	for i, want := range []uint64{1, 3, 4} {
		if b := d.Bucket[i]; b.GetUpperBound() != math.Ldexp(1, i-1) || b.GetCumulativeCount() != want {
			t.Errorf("classic bucket %d: got %v, want %d", i, b, want)
		}
	}
}

type collected struct {
	h    *latency.Histogram
	desc *prometheus.Desc
}

func (c collected) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }
func (c collected) Collect(ch chan<- prometheus.Metric) {
	ch <- web.NewHistogram(c.desc, web.HistogramRange{Least: -1, Most: 1}, c.h.Snapshot(), "1", "2")
}
