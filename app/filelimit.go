package app

import "golang.org/x/sys/unix"

// reservedFiles are the descriptors that are left for everything but clients.
const reservedFiles = 512

// maxFiles returns how many connections there may be; 0 if nothing bounds them.
func (c ServeConfig) maxFiles() int {
	if c.MaxFiles > 0 {
		return c.MaxFiles
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 0
	}
	return max(int(limit.Cur)-reservedFiles, 64)
}
