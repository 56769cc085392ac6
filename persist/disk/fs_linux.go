package disk

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// syncData is fdatasync: on a preallocated file it needs no journal commit.
// EINTR is the one error after which the same call may be made again.
func syncData(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		for {
			if serr = unix.Fdatasync(int(fd)); serr != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if serr != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: serr}
	}
	return nil
}

func (osFS) Free(name string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(name, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: name, Err: err}
	}
	return int64(min(s.Bavail, math.MaxInt64/uint64(s.Frsize))) * s.Frsize, nil
}
