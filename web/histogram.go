package web

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"keywatch/kv/latency"
)

// A HistogramRange is the span of the classic buckets of a histogram, of which each is twice
// the one before: from 2^Least to 2^Most seconds.
type HistogramRange struct{ Least, Most int }

// NewHistogram returns a metric of what s has counted, with classic buckets and, for a
// Prometheus that asks for protobuf, a native histogram of schema 2. Labels are the values of
// the variable labels of desc.
func NewHistogram(desc *prometheus.Desc, span HistogramRange, s *latency.Snapshot, labels ...string) prometheus.Metric {
	return &histogram{desc, span, s, prometheus.MakeLabelPairs(desc, labels)}
}

type histogram struct {
	desc   *prometheus.Desc
	span   HistogramRange
	s      *latency.Snapshot
	labels []*dto.LabelPair
}

// Desc implements prometheus.Metric.
func (h *histogram) Desc() *prometheus.Desc { return h.desc }

// Write implements prometheus.Metric.
func (h *histogram) Write(m *dto.Metric) error {
	sum, schema := h.s.Sum.Seconds(), int32(math.Log2(latency.PerDouble))
	d := &dto.Histogram{
		SampleCount: &h.s.Count, SampleSum: &sum,
		Schema: &schema, ZeroThreshold: &latency.Least, ZeroCount: &h.s.Counts[0],
	}
	for exp := h.span.Least; exp <= h.span.Most; exp++ {
		bound, n := math.Ldexp(1, exp), h.s.Below(exp)
		d.Bucket = append(d.Bucket, &dto.Bucket{UpperBound: &bound, CumulativeCount: &n})
	}
	d.PositiveSpan, d.PositiveDelta = native(h.s.Counts[1:])
	m.Label, m.Histogram = h.labels, d
	return nil
}

// native returns buckets in the form of native histograms: each as its difference from the one
// before, in runs without an empty one.
func native(counts []uint64) (spans []*dto.BucketSpan, deltas []int64) {
	var last int64
	next := 0 // the bucket after the last run
	for i, n := range counts {
		if n == 0 {
			continue
		}
		if i > next || spans == nil {
			offset := int32(i - next)
			if spans == nil {
				offset = int32(i + latency.LeastKey)
			}
			spans = append(spans, &dto.BucketSpan{Offset: &offset, Length: new(uint32)})
		}
		*spans[len(spans)-1].Length++
		deltas = append(deltas, int64(n)-last)
		last, next = int64(n), i+1
	}
	if spans == nil { // by which an empty native histogram is known
		spans = []*dto.BucketSpan{{Offset: new(int32), Length: new(uint32)}}
	}
	return spans, deltas
}
