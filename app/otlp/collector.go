package otlp

import "github.com/prometheus/client_golang/prometheus"

var descSpans = prometheus.NewDesc("keywatch_trace_spans_total", "Spans of sampled requests: sent to the collector, dropped because too many waited for it, lost because it did not take them.", []string{"outcome"}, nil)

// Describe implements prometheus.Collector.
func (x *Exporter) Describe(ch chan<- *prometheus.Desc) { ch <- descSpans }

// Collect implements prometheus.Collector.
func (x *Exporter) Collect(ch chan<- prometheus.Metric) {
	_, dropped := x.opts.Tracer.Counts()
	for outcome, n := range map[string]uint64{"sent": x.sent.Load(), "dropped": dropped, "lost": x.lost.Load()} {
		ch <- prometheus.MustNewConstMetric(descSpans, prometheus.CounterValue, float64(n), outcome)
	}
}
