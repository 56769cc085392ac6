package app

import (
	"context"
	"time"

	"keywatch/kv"
	"keywatch/persist/object"
)

var ProcessMemory = processMemory

// ObjectsHard makes what happens in object storage happen all the time.
func (c Config) ObjectsHard(poll time.Duration) Config {
	c.objectPoll, c.objectTidy, c.objectGrace = poll, 5*poll, time.Nanosecond
	return c
}

// MovingHeld has hold called between two pieces of moving, which goes on when it
// returns.
func (c Config) MovingHeld(hold func(context.Context)) Config {
	c.objectHold = hold
	return c
}

// A Throttle is what the mover rests by.
type Throttle = throttle

// NewThrottle returns the throttle of a mover of state that proposes to log.
func NewThrottle(state *kv.State, log object.Proposer) *Throttle {
	return &throttle{state: state, log: log}
}

// Rest is what the mover calls after a piece of work.
func (t *throttle) Rest(ctx context.Context, worked time.Duration) { t.rest(ctx, worked) }

// ObjectStep has step called between two steps of moving and deleting.
func (c Config) ObjectStep(step func(object.Step) error) Config {
	c.objectStep = step
	return c
}

// ObjectRead bounds the reading of one value from object storage.
func (c Config) ObjectRead(d time.Duration) Config {
	c.objectRead = d
	return c
}

// Position is where the engine's state is.
func (e *Engine) Position() kv.Position { return e.state.Position() }
