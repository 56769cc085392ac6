package resp

import "github.com/prometheus/client_golang/prometheus"

var (
	descOpen     = prometheus.NewDesc("keywatch_resp_connections", "Connections of clients of Redis that are open.", nil, nil)
	descAccepted = prometheus.NewDesc("keywatch_resp_connections_total", "Connections of clients of Redis, by whether they were let in.", []string{"outcome"}, nil)
	descCommands = prometheus.NewDesc("keywatch_resp_commands_total", "Commands of clients of Redis, by name.", []string{"command"}, nil)
	descErrors   = prometheus.NewDesc("keywatch_resp_errors_total", "Commands of clients of Redis that were answered with an error.", nil, nil)
	descRunners  = prometheus.NewDesc("keywatch_resp_runners", "Goroutines that run commands of clients of Redis which may wait.", nil, nil)
	descMax      = prometheus.NewDesc("keywatch_resp_runners_max", "Bound on those.", nil, nil)
	descWaiting  = prometheus.NewDesc("keywatch_resp_runners_waiting", "Commands that wait for one.", nil, nil)
	descTracked  = prometheus.NewDesc("keywatch_resp_tracked_keys", "Keys whose readers are told when they change.", nil, nil)
)

// Describe implements prometheus.Collector.
func (v *Server) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descOpen, descAccepted, descCommands, descErrors, descRunners, descMax, descWaiting, descTracked} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (v *Server) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n))
	}
	counter := func(d *prometheus.Desc, n float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, labels...)
	}
	v.mu.Lock()
	open := v.mu.open
	v.mu.Unlock()
	running, waiting := v.runners.Len()
	gauge(descOpen, open)
	gauge(descRunners, running)
	gauge(descMax, maxRunners)
	gauge(descWaiting, waiting)
	keys, _, _ := v.tracking.counts()
	gauge(descTracked, keys)
	refused := v.refused.Load()
	counter(descAccepted, float64(v.accepted.Load()-refused), "open")
	counter(descAccepted, float64(refused), "refused")
	counter(descErrors, float64(v.failed.Value()))
	for i, n := range v.calls {
		counter(descCommands, float64(n.Value()), v.commands[i].name)
	}
}
