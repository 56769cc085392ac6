//go:build darwin || freebsd

package app

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// machineMemory returns the memory of the machine.
func machineMemory() (int64, bool) {
	name := "hw.memsize"
	if runtime.GOOS == "freebsd" {
		name = "hw.physmem"
	}
	n, err := unix.SysctlUint64(name)
	return int64(n), err == nil
}
