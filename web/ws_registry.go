package web

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/puzpuzpuz/xsync/v3"

	"keywatch/kv"
	"keywatch/kv/bind"
	"keywatch/watch"
	"keywatch/web/api"
)

// maxLanes bounds the goroutines that run the commands of all sockets; more
// sockets with commands take turns.
const maxLanes = 1024

// A socketRegistry knows the WebSockets that are open and runs their commands.
// It is safe for concurrent use.
type socketRegistry struct {
	// max bounds the sockets together with the streams.
	max     int
	streams *streamRegistry
	born    time.Time
	// scratches holds *watch.Scratch.
	scratches sync.Pool
	// bound keeps the leases of sockets alive.
	bound *bind.Keeper
	// lanes counts the goroutines that run commands or clean up.
	lanes sync.WaitGroup

	// lockWaits counts the commands that wait for locks.
	lockWaits           atomic.Int64
	framesIn, framesOut *xsync.Counter
	closes              closeCounts
	// commands counts by operation; the last place is for those that are not known.
	commands []*xsync.Counter

	mu struct {
		sync.Mutex
		first   *session
		open    int
		running int
		// waiting are sessions whose commands wait for a lane.
		waiting []*session
		closing bool
	}
	// idle is closed when no socket is open and none will be let in.
	idle chan struct{}
}

func newSocketRegistry(limit int, streams *streamRegistry) *socketRegistry {
	r := &socketRegistry{
		max: limit, streams: streams, born: time.Now(), idle: make(chan struct{}),
		framesIn: xsync.NewCounter(), framesOut: xsync.NewCounter(),
	}
	r.scratches.New = func() any { return new(watch.Scratch) }
	for range len(socketOps) + 1 {
		r.commands = append(r.commands, xsync.NewCounter())
	}
	return r
}

// clock returns now on the registry's clock, which no change of the time of day
// moves.
func (r *socketRegistry) clock(now time.Time) time.Duration { return now.Sub(r.born) }

// count counts a command; op is nil if it is not known.
func (r *socketRegistry) count(op *socketOp) {
	for i := range socketOps {
		if op == &socketOps[i] {
			r.commands[i].Inc()
			return
		}
	}
	r.commands[len(socketOps)].Inc()
}

func (r *socketRegistry) countClose(code int) { r.closes.count(code) }

// enter takes a place for s. It fails with api.ErrTooManyStreams or kv.ErrStopping.
func (r *socketRegistry) enter(s *session) error {
	full, streams := r.streams.opts.full(), r.streams.Len()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.closing {
		return kv.ErrStopping
	}
	if full || r.mu.open+streams >= r.max {
		return api.ErrTooManyStreams
	}
	r.mu.open++
	if s.next = r.mu.first; s.next != nil {
		s.next.prev = s
	}
	r.mu.first = s
	return nil
}

// end closes what s has open, and gives its place back.
func (r *socketRegistry) end(s *session) {
	watches := s.giveUp()
	r.bound.Release(s)
	if len(watches) <= 1 {
		for _, w := range watches {
			w.Close()
		}
		r.leave(s)
		return
	}
	r.lanes.Go(func() {
		for _, w := range watches {
			w.Close()
		}
		r.leave(s)
	})
}

func (r *socketRegistry) leave(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.prev == nil {
		r.mu.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	r.mu.open--
	r.idleLocked()
}

func (r *socketRegistry) idleLocked() {
	if r.mu.closing && r.mu.open == 0 {
		close(r.idle)
	}
}

// abandon ends a session that will get no socket.
func (r *socketRegistry) abandon(s *session) {
	if s.taken.CompareAndSwap(false, true) {
		r.end(s)
	}
}

// Len returns how many sockets are open.
func (r *socketRegistry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.open
}

// run has the commands of s run on a lane.
func (r *socketRegistry) run(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.running >= maxLanes {
		r.mu.waiting = append(r.mu.waiting, s)
		return
	}
	r.mu.running++
	r.lanes.Go(func() {
		for s := s; s != nil; s = r.nextLane() {
			s.runLane()
		}
	})
}

// nextLane returns the session whose turn it is; nil ends the lane.
func (r *socketRegistry) nextLane() *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.mu.waiting) == 0 {
		r.mu.running--
		return nil
	}
	s := r.mu.waiting[0]
	r.mu.waiting[0] = nil
	r.mu.waiting = r.mu.waiting[1:]
	return s
}

// Close lets no more sockets in, closes each with 1012 once its commands are
// answered, and waits until all have ended. When ctx ends first the rest are cut
// off, and Close returns ctx's error. It may be called once.
func (r *socketRegistry) Close(ctx context.Context) error {
	r.each(true, (*session).stop)
	var err error
	select {
	case <-r.idle:
	case <-ctx.Done():
		r.each(false, (*session).cut)
		<-r.idle
		err = ctx.Err()
	}
	r.lanes.Wait()
	return err
}

// each calls do for every session. With begin set no more are let in.
func (r *socketRegistry) each(begin bool, do func(*session)) {
	r.mu.Lock()
	var all []*session
	for s := r.mu.first; s != nil; s = s.next {
		all = append(all, s)
	}
	if begin {
		r.mu.closing = true
		r.idleLocked()
	}
	r.mu.Unlock()
	for _, s := range all {
		do(s)
	}
}

var (
	descSockets  = prometheus.NewDesc("keywatch_sockets", "WebSockets open.", nil, nil)
	descFrames   = prometheus.NewDesc("keywatch_socket_frames_total", "WebSocket frames, by direction.", []string{"direction"}, nil)
	descCommands = prometheus.NewDesc("keywatch_socket_commands_total", "Commands of WebSockets, by what they ask for.", []string{"op"}, nil)
	descLanes    = prometheus.NewDesc("keywatch_socket_lanes", "Goroutines that run commands of WebSockets.", nil, nil)
	descLaneMax  = prometheus.NewDesc("keywatch_socket_lanes_max", "Bound on those.", nil, nil)
	descLocks    = prometheus.NewDesc("keywatch_socket_lock_waits", "Commands of WebSockets that wait for locks.", nil, nil)
	descLocksMax = prometheus.NewDesc("keywatch_socket_lock_waits_max", "Bound on those.", nil, nil)
	descWaiting  = prometheus.NewDesc("keywatch_socket_lanes_waiting", "WebSockets whose commands wait for one.", nil, nil)
)

// Describe implements prometheus.Collector.
func (r *socketRegistry) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descSockets, descFrames, descCommands, descLanes, descLaneMax, descWaiting, descLocks, descLocksMax, descCloses, descBound, descRenewals} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *socketRegistry) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	open, running, waiting := r.mu.open, r.mu.running, len(r.mu.waiting)
	r.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(descSockets, gauge, float64(open))
	ch <- prometheus.MustNewConstMetric(descLanes, gauge, float64(running))
	ch <- prometheus.MustNewConstMetric(descLaneMax, gauge, maxLanes)
	ch <- prometheus.MustNewConstMetric(descWaiting, gauge, float64(waiting))
	ch <- prometheus.MustNewConstMetric(descFrames, counter, float64(r.framesIn.Value()), "in")
	ch <- prometheus.MustNewConstMetric(descFrames, counter, float64(r.framesOut.Value()), "out")
	ch <- prometheus.MustNewConstMetric(descLocks, gauge, float64(r.lockWaits.Load()))
	ch <- prometheus.MustNewConstMetric(descLocksMax, gauge, maxSocketWaits)
	for i, n := range r.commands {
		name := "unknown"
		if i < len(socketOps) {
			name = socketOps[i].name
		}
		ch <- prometheus.MustNewConstMetric(descCommands, counter, float64(n.Value()), name)
	}
	r.closes.collect(ch)
	r.collectBound(ch)
}
