package app

import "time"

// A tuning is what can be changed of an engine while it works.
type tuning struct {
	checkpointBytes Size
	checkpointEvery time.Duration
	objectAfter     time.Duration
	diskMax         Size
}

// tune has c be in force, of which it takes what can be changed.
func (e *Engine) tune(c *Config) {
	e.tuning.Store(&tuning{c.CheckpointBytes, c.CheckpointEvery, c.ObjectAfter, c.DiskMax})
	if e.node != nil {
		e.node.BoundQueue(c.MaxQueue)
	}
}
