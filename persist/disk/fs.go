package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// FS is the part of a file system that the log, the stable store and the
// marks use. It exists so that tests can fail any step and cut the
// power between two of them (package faultfs). Implementations are safe for
// concurrent use. Errors wrap fs.ErrNotExist and fs.ErrExist as package os does.
type FS interface {
	// OpenFile opens a file as os.OpenFile does.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Remove removes one file. It survives a power cut once SyncDir returned.
	Remove(name string) error
	// Rename replaces to by from at once. It survives a power cut once SyncDir
	// returned.
	Rename(from, to string) error
	// ReadDir returns the names in a folder, sorted.
	ReadDir(name string) ([]string, error)
	// MkdirAll creates a folder and its parents.
	MkdirAll(name string, perm fs.FileMode) error
	// Free returns how many bytes may still be written to a folder.
	Free(name string) (int64, error)
	// SyncDir makes creations, removals and renames in a folder durable.
	SyncDir(name string) error
}

// Exists reports whether dir has a file that can be opened.
func Exists(fsys FS, dir, name string) (bool, error) {
	f, err := fsys.OpenFile(filepath.Join(dir, name), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", name, err)
	}
	return true, f.Close()
}

// IsFull reports whether err says that a file system, or the part of it that the
// process may use, is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// File is an open file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size returns the length in bytes.
	Size() (int64, error)
	// Sync makes the content, and the length if it grew, durable. It may leave
	// out the modification time. After an error the caller must give the file
	// up: a second Sync proves nothing about what the first one dropped.
	Sync() error
}

// OS is the file system of the operating system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Remove(name string) error                     { return os.Remove(name) }
func (osFS) Rename(from, to string) error                 { return os.Rename(from, to) }
func (osFS) MkdirAll(name string, perm fs.FileMode) error { return os.MkdirAll(name, perm) }

func (osFS) ReadDir(name string) ([]string, error) {
	d, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	awaitSync()
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// osFile is an os.File whose Sync leaves out what reading back does not need.
type osFile struct{ *os.File }

func (f osFile) Sync() error {
	awaitSync()
	return syncData(f.File)
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
