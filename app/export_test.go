package app

import (
	"time"

	"keywatch/persist/object"
)

var ProcessMemory = processMemory

// ObjectsHard makes what happens in object storage happen all the time.
func (c Config) ObjectsHard(poll time.Duration) Config {
	c.objectPoll, c.objectTidy, c.objectGrace = poll, 5*poll, time.Nanosecond
	return c
}

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
