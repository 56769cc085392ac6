//go:build !keywatchfault

package cluster

import "time"

// Newest returns the newest level that this process knows: Level. A build with the tag keywatchfault can be a later
// release.
func Newest() int { return Level }

// settled returns for how long all members must have known a level.
func settled() time.Duration { return levelFor }
