package fanout

import (
	"time"

	"golang.org/x/sys/unix"
)

// A clock reads CLOCK_MONOTONIC without a system call each time.
type clock struct {
	began time.Time
	at    time.Duration
}

func newClock() (*clock, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return nil, err
	}
	return &clock{time.Now(), time.Duration(ts.Nano())}, nil
}

func (c *clock) now() time.Duration { return c.at + time.Since(c.began) }
