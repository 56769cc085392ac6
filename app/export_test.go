package app

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/auth"
	"keywatch/cluster/peer"
	"keywatch/kv"
	"keywatch/kv/progress"
	"keywatch/persist/disk"
	"keywatch/persist/object"
)

var (
	ProcessMemory = processMemory
	MachineMemory = machineMemory
	WatchdogTime  = watchdogTime
	DocumentOf    = memberDocument
)

// AsPeer makes c one of several servers that begin together, with addresses by id.
func (c Config) AsPeer(id uint64, l net.Listener, addrs map[uint64]string, token peer.Token, tick time.Duration) Config {
	c.peers = &peers{id, l, addrs, token, tick}
	return c
}

// ObjectsHard makes what happens in object storage happen all the time.
func (c Config) ObjectsHard(poll time.Duration) Config {
	c.objectPoll, c.objectTidy, c.objectGrace = poll, 5*poll, time.Nanosecond
	return c
}

// MovingHeld has hold called between two pieces of moving, which continues when it
// returns.
func (c Config) MovingHeld(hold func(context.Context)) Config {
	c.objectHold = hold
	return c
}

// A Throttle is what the mover rests by.
type Throttle = throttle

// NewThrottle returns the throttle of a mover of state that proposes to log.
func NewThrottle(state *kv.State, log object.Proposer) *Throttle {
	return &throttle{state: func() *kv.State { return state }, log: log}
}

// Rest is what the mover calls after a piece of work.
func (t *throttle) Rest(ctx context.Context, worked time.Duration) { t.rest(ctx, worked) }

// ObjectStep has step called between two steps of moving and deleting.
func (c Config) ObjectStep(step func(object.Step) error) Config {
	c.objectStep = step
	return c
}

// OnDisk has the log be on another file system than the system's.
func (c Config) OnDisk(fsys disk.FS) Config {
	c.disk = fsys
	return c
}

// StopSpare has a stop take no longer beside --drain and --grace.
func (c ServeConfig) StopSpare(d time.Duration) ServeConfig {
	c.stopSpare = d
	return c
}

// Accounts returns what changes users and credentials.
func (e *Engine) Accounts() *auth.Registry { return e.access.registry }

// ObjectRead bounds the reading of one value from object storage.
func (c Config) ObjectRead(d time.Duration) Config {
	c.objectRead = d
	return c
}

// CheckpointDue reports whether one would be made now.
func (e *Engine) CheckpointDue() bool { return e.checkpointDue() }

// Term is the term of the leader that e knows, 0 once e has ended.
func (e *Engine) Term() uint64 {
	s, err := e.node.StandingsWithin(time.Minute)
	if err != nil {
		return 0
	}
	return s.Term
}

// LogBytes is how large the log is.
func (e *Engine) LogBytes() int64 { return e.log.Bytes() }

// Position is where the engine's state is.
func (e *Engine) Position() kv.Position { return e.state().Position() }

// WatchBackground has logger told of what takes long on the board, until stop is closed.
func WatchBackground(logger *slog.Logger, stop <-chan struct{}) (board *progress.Board, run func()) {
	b := &background{logger: logger}
	return &b.board, func() { b.watch(stop) }
}

// Gather returns the engine's metrics by name and labels.
func (e *Engine) Gather() map[string]float64 {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(e))
	families, err := registry.Gather()
	if err != nil {
		panic(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "{" + l.GetName() + "=" + l.GetValue() + "}"
			}
			all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}
