package cputime

import (
	"syscall"
	"time"
)

// Used returns the time that the process has used, in user and system mode.
func Used() time.Duration {
	self, err := syscall.GetCurrentProcess()
	if err != nil {
		panic(err)
	}
	var created, exited, kernel, user syscall.Filetime
	if err := syscall.GetProcessTimes(self, &created, &exited, &kernel, &user); err != nil {
		panic(err)
	}
	return span(kernel) + span(user)
}

// span returns a length of time, which Windows counts in 100 ns.
func span(t syscall.Filetime) time.Duration {
	return 100 * time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime))
}
