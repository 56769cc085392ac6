//go:build unix

package resp

import (
	"syscall"
	"time"
)

// processorTime returns what the process has used of processors; ok is false where that is not known.
func processorTime() (user, system time.Duration, ok bool) {
	var r syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano()), err == nil
}
