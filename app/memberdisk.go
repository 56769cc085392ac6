package app

import (
	"context"
	"time"

	"keywatch/persist/disk"
)

// diskEvery is how often a server looks how much of its disk is free.
const diskEvery = 5 * time.Second

// watchDisk looks how much of the disk is free, until ctx ends: the others are told. The one who tells them
// must not wait for a disk.
func (m *membership) watchDisk(ctx context.Context) {
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	for {
		m.free.Store(max(0, freeOf(m.config.Data)))
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
