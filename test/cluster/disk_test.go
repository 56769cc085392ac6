package cluster_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keywatch/test/gate"
)

// A disk is a file system in memory that has a node's data folder.
type disk struct{ folder string }

// newDisk makes one of so many MiB, which t removes. Its source is owner's name, by which a
// later run finds it if this one is killed.
func newDisk(t testing.TB, owner string, mib int) *disk {
	t.Helper()
	d := &disk{t.TempDir()}
	if err := syscall.Mount(owner, d.folder, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		gate.Missing(t, "a disk that can be full needs the right to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

// data is the data folder.
func (d *disk) data() string { return filepath.Join(d.folder, "data") }

func (d *disk) ballast() string { return filepath.Join(d.folder, "ballast") }

// fill takes all room but for a few bytes.
func (d *disk) fill() error {
	f, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) >= 4<<10; {
		if _, err = f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("fill a disk: %w", err)
	}
	return nil
}

// free gives the room back.
func (d *disk) free() error { return os.Remove(d.ballast()) }

// syncs is the file that says what happens to fsyncs, if the node is of the faulty build.
func (d *disk) syncs() string { return filepath.Join(d.folder, "fsync") }

// hold has each fsync take longer, or hang if how is "hang", until the returned func is called.
func (d *disk) hold(how string) (release func() error, err error) {
	next := d.syncs() + ".next"
	if err := os.WriteFile(next, []byte(how), 0o600); err != nil {
		return nil, err
	}
	return func() error { return os.Remove(d.syncs()) }, os.Rename(next, d.syncs())
}

// unmountAll removes the disks of an owner.
func unmountAll(owner string) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[0] == owner && f[2] == "tmpfs" {
			_ = syscall.Unmount(f[1], syscall.MNT_DETACH)
		}
	}
}
