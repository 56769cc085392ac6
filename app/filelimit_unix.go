//go:build unix

package app

import "golang.org/x/sys/unix"

// openFiles returns how many files the process may have open, 0 if nothing says so.
func openFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 0
	}
	return int(limit.Cur)
}
