//go:build !linux

package disk

import (
	"errors"
	"os"
)

// syncData is fsync where there is no fdatasync.
func syncData(f *os.File) error { return f.Sync() }

func (osFS) Free(string) (int64, error) { return 0, errors.ErrUnsupported }
