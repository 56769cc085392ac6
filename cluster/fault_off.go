//go:build !keywatchfault

package cluster

import "time"

// Newest returns the newest level that this process knows: Level. A build with the tag keywatchfault can be a later
// release.
func Newest() int { return Level }

// settled returns for how long all members must have known a level.
func settled() time.Duration { return levelFor }

// doubts reports whether this build says that the outcome of a command is unknown although it is not.
func doubts() bool { return false }

// instant returns the time by which log time is counted: what passes between two of them is what passed on the monotonic
// clock. A build with the tag keywatchfault can count by the clock of the day.
func instant() time.Time { return time.Now() }
