package resp

import (
	"sync/atomic"
	"time"
)

// clockSlack is how far the clock of the day and log time may drift apart, in milliseconds,
// before the distance between them is measured again.
const clockSlack = 1000

// samples is how often the two are compared to take the distance.
const samples = 16

// A wallClock says how log time is to the clock of the day. The distance stays while the two
// agree, so that a time which was set is given back. Time that no server ran does not count in
// log time.
type wallClock struct {
	offset atomic.Int64
	set    atomic.Bool
}

// distance returns what is added to log time to get the time of day, in milliseconds.
func (w *wallClock) distance(logTime int64, log func() int64) int64 {
	now := time.Now().UnixMilli() - logTime
	have := w.offset.Load()
	if w.set.Load() && now-have <= clockSlack && have-now <= clockSlack {
		return have
	}
	for range samples { // the least was held up least between the two clocks
		at := log()
		now = min(now, time.Now().UnixMilli()-at)
	}
	w.offset.Store(now)
	w.set.Store(true)
	return now
}

// now returns the log time, and what is added to it to get the time of day.
func (v *Server) now() (logTime, distance int64) {
	logTime = v.opts.Door.Now()
	return logTime, v.clock.distance(logTime, v.opts.Door.Now)
}
