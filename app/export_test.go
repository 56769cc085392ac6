package app

import "time"

var ProcessMemory = processMemory

// ObjectsHard makes what happens in object storage happen all the time.
func (c Config) ObjectsHard(poll time.Duration) Config {
	c.objectPoll, c.objectTidy, c.objectGrace = poll, 5*poll, time.Nanosecond
	return c
}
