package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// LockName is the file in a data folder that its one owner holds locked.
const LockName = "lock"

// LockedError is returned by LockDir when another process, or another DirLock
// of this one, owns the folder.
type LockedError struct {
	Dir string // the folder
	PID int    // process that holds it, 0 if it could not be read
}

// Error names the folder and, if known, the holder.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("data folder %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("data folder %s is in use by process %d", e.Dir, e.PID)
}

// A DirLock is the ownership of a data folder. The system gives it up when the
// process ends, however it ends.
type DirLock struct {
	file *os.File
}

// LockDir takes the folder for this process, creating it durably if need be, or
// fails at once with a *LockedError.
func LockDir(dir string) (*DirLock, error) {
	_, err := os.Stat(dir)
	made := err != nil
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if made {
		if err := OS.SyncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
			return nil, fmt.Errorf("lock data folder: %w", err)
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, LockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	held, err := tryLock(f)
	if err == nil && !held {
		err = &LockedError{Dir: dir, PID: readPID(f)}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	writePID(f)
	return &DirLock{file: f}, nil
}

// InUse returns a *LockedError if a process owns the folder. It makes and changes
// nothing.
func InUse(dir string) error {
	f, err := os.Open(filepath.Join(dir, LockName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a lock: %w", err)
	}
	defer f.Close() // which gives up the lock if it was free
	got, err := tryLock(f)
	if err == nil && !got {
		err = &LockedError{Dir: dir, PID: readPID(f)}
	}
	return err
}

// Close gives the folder up. It may be called twice.
func (l *DirLock) Close() error {
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}

// writePID leaves a hint for a process that meets the lock; a failure does no harm.
func writePID(f *os.File) {
	if f.Truncate(0) == nil {
		f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
}

// readPID returns the hint that the holder left, or 0.
func readPID(f *os.File) int {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}
