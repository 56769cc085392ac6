package app

import (
	"context"
	"sync/atomic"
	"time"

	"keywatch/persist/disk"
)

// diskEvery is how often a server looks how much of its disk is free.
const diskEvery = 5 * time.Second

// watchDisk looks how much of the disk is free, until ctx ends: the others are told. Neither the one who tells them nor the
// end of the server may wait for a disk that hangs: what was free last counts until it answers.
func (m *membership) watchDisk(ctx context.Context, free func() int64) {
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	var looking atomic.Bool
	for {
		if looking.CompareAndSwap(false, true) {
			go func() {
				defer looking.Store(false)
				m.free.Store(max(0, free()))
			}()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// freeOf returns how many bytes are free where a folder is, -1 if that is not known.
func freeOf(dir string) int64 {
	free, err := disk.OS.Free(dir)
	if err != nil {
		return -1
	}
	return free
}
