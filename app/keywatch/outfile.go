package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// outputFileHelp is the rule for files that a command was told to write.
const outputFileHelp = `An existing file is replaced only once the new one is complete and on disk; it is
then readable by its owner only. A link stays a link: the file it points to is
replaced. A device or a pipe is written to and stays what it is, and - is standard
output.`

// maxLinks bounds the links that are followed from one name, as the kernel does.
const maxLinks = 40

// errStdoutClosed is returned where a file is to be written to standard output and what is
// written there would be lost.
var errStdoutClosed = errors.New("standard output is closed")

// outputFile is a file that a command was told to write.
//
// A regular file appears at once and complete, or not at all: what is written goes
// to a file beside it, which takes its place at commit. A link is followed. What is
// no regular file is written in place.
type outputFile struct {
	*os.File
	// target is replaced at commit, "" if the file is written in place.
	target string
	// shared says that the file is standard output, which stays open.
	shared bool
}

// writeFile has fill write the file that path names. It fails with the cause of the
// command's context if that ends before; then, and if fill fails, a regular file is
// as it was. What fill wrote is on disk when writeFile returns nil.
func (s *session) writeFile(path string, fill func(io.Writer) error) error {
	f, err := s.createOutput(path)
	if err != nil {
		return err
	}
	// Closing wakes a writer that waits for the reader of a pipe.
	stop := context.AfterFunc(s.ctx, func() {
		if !f.shared {
			f.Close()
		}
	})
	w := io.Writer(f)
	if f.shared {
		w = s.stdout // its reader may go
	}
	err = fill(w)
	if !stop() {
		err = context.Cause(s.ctx)
	}
	if err != nil {
		f.discard()
		return err
	}
	return f.commit()
}

// createOutput opens the file that path names for writing.
func (s *session) createOutput(path string) (*outputFile, error) {
	if path == "-" && isClosed(s.stdout.file) {
		return nil, errStdoutClosed
	}
	if s.isStdout(path) {
		return &outputFile{File: s.stdout.file, shared: true}, nil
	}
	target, inPlace, err := resolveOutput(path)
	if err != nil {
		return nil, err
	}
	if inPlace {
		f, err := openInPlace(s.ctx, target)
		return &outputFile{File: f}, err
	}
	f, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*.tmp")
	return &outputFile{File: f, target: target}, err
}

// isStdout reports whether path names standard output: as -, or by a name of the
// system such as /dev/stdout.
func (s *session) isStdout(path string) bool {
	if path == "-" {
		return true
	}
	target, inPlace, err := resolveOutput(path)
	if err != nil || !inPlace {
		return false
	}
	there, err := os.Stat(target)
	if err != nil {
		return false
	}
	here, err := s.stdout.file.Stat()
	return err == nil && os.SameFile(here, there)
}

// resolveOutput follows the links that path names, as far as they lead. inPlace
// reports that what is there must stay and be written to.
func resolveOutput(path string) (target string, inPlace bool, err error) {
	for range maxLinks {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path, false, nil
		case err != nil:
			return "", false, err
		case info.IsDir():
			return "", false, &fs.PathError{Op: "write", Path: path, Err: syscall.EISDIR}
		case info.Mode()&fs.ModeSymlink == 0:
			return path, !info.Mode().IsRegular(), nil
		case isDescriptor(path):
			return path, true, nil
		}
		next, err := os.Readlink(path)
		if err != nil {
			return "", false, err
		}
		if !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(path), next)
		}
		path = next
	}
	return "", false, &fs.PathError{Op: "write", Path: path, Err: errors.New("too many links")}
}

// isDescriptor reports whether path is one of the links by which a process names
// its open files, such as /proc/self/fd/1.
func isDescriptor(path string) bool {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return err == nil && strings.HasPrefix(dir, "/proc/") && filepath.Base(dir) == "fd"
}

// openInPlace opens a device, a pipe or an open file. A pipe has to wait for its
// reader.
func openInPlace(ctx context.Context, path string) (*os.File, error) {
	type opened struct {
		f   *os.File
		err error
	}
	result := make(chan opened, 1) // the open file, sent once
	go func() {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		result <- opened{f, err}
	}()
	select {
	case r := <-result:
		return r.f, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx) // the process ends, and the goroutine with it
	}
}

// commit makes the file appear under its name, on disk.
func (f *outputFile) commit() error {
	err := f.Sync()
	if f.target == "" && (errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)) {
		err = nil // a pipe keeps nothing
	}
	if f.shared {
		return err
	}
	if err = errors.Join(err, f.Close()); err != nil || f.target == "" {
		return errors.Join(err, f.remove())
	}
	if err := os.Rename(f.Name(), f.target); err != nil {
		return errors.Join(err, f.remove())
	}
	return syncDir(filepath.Dir(f.target))
}

// discard drops what was written, but for what was written in place.
func (f *outputFile) discard() {
	if !f.shared {
		f.Close()
		_ = f.remove()
	}
}

// remove removes the file that was to take the target's place, if there is one.
func (f *outputFile) remove() error {
	if f.target == "" {
		return nil
	}
	return os.Remove(f.Name())
}
