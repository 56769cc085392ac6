//go:build !unix

package resp

import "time"

// processorTime returns what the process has used of processors; ok is false where that is not known.
func processorTime() (user, system time.Duration, ok bool) { return 0, 0, false }
