//go:build keywatchfault

package cluster

import (
	"os"
	"sync/atomic"
	"time"
)

// release is what this process is, see package kv.
var release = os.Getenv("KEYWATCH_FAULT")

// later reports whether this process is of a release after this one.
func later() bool {
	return release == "a release to come" || release == "a release that does not ask"
}

// Newest returns the newest level that this process knows.
func Newest() int {
	if later() {
		return Level + 1
	}
	return Level
}

// settled returns for how long all members must have known a level: shorter where releases are tested.
func settled() time.Duration {
	if later() {
		return time.Second
	}
	return levelFor
}

// doubted counts the outcomes that were asked for.
var doubted atomic.Uint64

// doubts reports whether the outcome of a command is said to be unknown although it is not: of one in 50.
func doubts() bool { return release == "outcomes that are not known" && doubted.Add(1)%50 == 0 }

// instant returns the time by which log time is counted.
func instant() time.Time {
	if release == "time by the clock of the day" {
		return time.Now().Round(0) // without what the monotonic clock says
	}
	return time.Now()
}
