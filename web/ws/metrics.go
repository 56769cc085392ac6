package ws

import "github.com/prometheus/client_golang/prometheus"

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

var (
	descSockets  = prometheus.NewDesc("keywatch_sockets", "WebSockets open.", nil, nil)
	descFrames   = prometheus.NewDesc("keywatch_socket_frames_total", "WebSocket frames, by direction.", []string{"direction"}, nil)
	descCommands = prometheus.NewDesc("keywatch_socket_commands_total", "Commands of WebSockets, by what they ask for.", []string{"op"}, nil)
	descLanes    = prometheus.NewDesc("keywatch_socket_lanes", "Goroutines that run commands of WebSockets.", nil, nil)
	descLaneMax  = prometheus.NewDesc("keywatch_socket_lanes_max", "Bound on those.", nil, nil)
	descLocks    = prometheus.NewDesc("keywatch_socket_lock_waits", "Commands of WebSockets that wait for locks.", nil, nil)
	descWaiting  = prometheus.NewDesc("keywatch_socket_lanes_waiting", "WebSockets whose commands wait for one.", nil, nil)
)

// Describe implements prometheus.Collector.
func (v *Server) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descSockets, descFrames, descCommands, descLanes, descLaneMax, descWaiting, descLocks, descCloses, descBound, descRenewals} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (v *Server) Collect(ch chan<- prometheus.Metric) {
	v.mu.Lock()
	open := v.mu.open
	v.mu.Unlock()
	running, waiting := v.runners.Len()
	ch <- prometheus.MustNewConstMetric(descSockets, gauge, float64(open))
	ch <- prometheus.MustNewConstMetric(descLanes, gauge, float64(running))
	ch <- prometheus.MustNewConstMetric(descLaneMax, gauge, maxRunners)
	ch <- prometheus.MustNewConstMetric(descWaiting, gauge, float64(waiting))
	ch <- prometheus.MustNewConstMetric(descFrames, counter, float64(v.framesIn.Value()), "in")
	ch <- prometheus.MustNewConstMetric(descFrames, counter, float64(v.framesOut.Value()), "out")
	ch <- prometheus.MustNewConstMetric(descLocks, gauge, float64(v.lockWaits.Load()))
	for i, n := range v.commands {
		name := "unknown"
		if i < len(ops) {
			name = ops[i].name
		}
		ch <- prometheus.MustNewConstMetric(descCommands, counter, float64(n.Value()), name)
	}
	v.closes.collect(ch)
	v.collectBound(ch)
}
