//go:build !linux && !darwin && !freebsd

package app

// machineMemory returns false: nothing tells it here.
func machineMemory() (int64, bool) { return 0, false }
