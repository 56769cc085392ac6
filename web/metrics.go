package web

import (
	"bytes"
	"math/bits"
	"strconv"
	"sync/atomic"
	"time"

	"keywatch/kv/latency"
	"keywatch/web/api"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
	"github.com/puzpuzpuz/xsync/v3"
)

// methodLabels label the methods by their bit's number plus one; 0 is any that
// no route has.
var methodLabels = [...]string{"other", "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"}

func methodLabel(m methods) string { return methodLabels[bits.Len8(uint8(m))] }

// maxStatus bounds the statuses that are counted apart.
const maxStatus = 600

// metrics counts what the server does. The counters are striped, because every
// request counts.
type metrics struct {
	cells   [routes][len(methodLabels)]atomic.Pointer[[maxStatus]atomic.Pointer[xsync.Counter]]
	refused map[api.Code]*xsync.Counter
	// times has how long requests took, by route and method.
	times [routes][len(methodLabels)]atomic.Pointer[latency.Histogram]
	// untimed leaves that out, for a benchmark of what it costs.
	untimed bool
	// fast counts the requests on the fast path.
	fast *xsync.Counter
}

func newMetrics(s *Server) (*metrics, error) {
	m := &metrics{refused: make(map[api.Code]*xsync.Counter), fast: xsync.NewCounter()}
	for _, code := range api.Codes() {
		m.refused[code] = xsync.NewCounter()
	}
	if err := s.opts.Registry.Register(s.redis); err != nil {
		return nil, err
	}
	if err := s.opts.Registry.Register(s.sockets); err != nil {
		return m, err
	}
	return m, s.opts.Registry.Register(newCollector(s, m))
}

// registerProcess adds the metrics of the Go runtime and of the process.
func registerProcess(r *prometheus.Registry) {
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// metricsText returns the metrics of g in the Prometheus text format.
func metricsText(g prometheus.Gatherer) (rendered, error) {
	families, err := g.Gather()
	if err != nil {
		return rendered{}, err
	}
	var b bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&b, family); err != nil {
			return rendered{}, err
		}
	}
	return rendered{body: b.Bytes()}, nil
}

// time counts how long an answer took.
func (m *metrics) time(r route, method methods, took time.Duration) {
	cell := &m.times[r][bits.Len8(uint8(method))]
	h := cell.Load()
	if h == nil {
		cell.CompareAndSwap(nil, new(latency.Histogram))
		h = cell.Load()
	}
	h.Observe(took)
}

// count counts an answer.
func (m *metrics) count(r route, method methods, status int) {
	row := &m.cells[r][bits.Len8(uint8(method))]
	cells := row.Load()
	if cells == nil {
		row.CompareAndSwap(nil, new([maxStatus]atomic.Pointer[xsync.Counter]))
		cells = row.Load()
	}
	cell := &cells[status%maxStatus]
	counter := cell.Load()
	if counter == nil {
		cell.CompareAndSwap(nil, xsync.NewCounter())
		counter = cell.Load()
	}
	counter.Inc()
}

// refuse counts a refusal.
func (m *metrics) refuse(c api.Code) {
	if counter, ok := m.refused[c]; ok {
		counter.Inc()
	}
}

var (
	descRequests = prometheus.NewDesc("keywatch_http_requests_total", "Requests answered.", []string{"route", "method", "status"}, nil)
	descTimes    = prometheus.NewDesc("keywatch_http_request_duration_seconds", "Time from reading a request to having its answer, waits that it asks for included; a stream counts until it is open.", []string{"route", "method"}, nil)
	descDelivery = prometheus.NewDesc("keywatch_watch_delivery_seconds", "Time from the publication of an event until it is handed to the connection of a watch; of one revision in 64, and of watches without an interval that are not behind.", nil, nil)
	descRefused  = prometheus.NewDesc("keywatch_refused_total", "Requests answered with an error, by its code.", []string{"code"}, nil)
)

// timesRange is that of requests and of deliveries: 15 us to 8 s.
var timesRange = HistogramRange{Least: -16, Most: 3}

// collectTimes sends how long requests took to ch.
func (m *metrics) collectTimes(ch chan<- prometheus.Metric) {
	for r := range m.times {
		for method := range m.times[r] {
			if h := m.times[r][method].Load(); h != nil {
				ch <- NewHistogram(descTimes, timesRange, h.Snapshot(), routeNames[r], methodLabels[method])
			}
		}
	}
}

// collect sends the counts to ch.
func (m *metrics) collect(ch chan<- prometheus.Metric) {
	for code, n := range m.refused {
		ch <- prometheus.MustNewConstMetric(descRefused, counter, float64(n.Value()), string(code))
	}
	for r := range m.cells {
		for method := range m.cells[r] {
			cells := m.cells[r][method].Load()
			if cells == nil {
				continue
			}
			for status := range cells {
				if n := cells[status].Load(); n != nil {
					ch <- prometheus.MustNewConstMetric(descRequests, counter, float64(n.Value()), routeNames[r], methodLabels[method], strconv.Itoa(status))
				}
			}
		}
	}
}
