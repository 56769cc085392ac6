package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// partial is the folder where objects are written before they get their name.
	partial = ".partial"
	// partialAge is after how long a partial file belongs to no living writer.
	partialAge = time.Hour
)

// A Dir is a Store in a folder: objects are files, and a name's slashes are
// folders. Several processes may share it.
type Dir struct{ root string }

var _ Store = (*Dir)(nil)

// OpenDir returns the store in the folder root, which need not exist: Make creates
// it. Files that a crash left unfinished over an hour ago are removed.
func OpenDir(root string) (*Dir, error) {
	d := &Dir{root}
	left, err := os.ReadDir(filepath.Join(root, partial))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open object store: %w", err)
	}
	for _, f := range left {
		if info, err := f.Info(); err == nil && time.Since(info.ModTime()) > partialAge {
			_ = os.Remove(filepath.Join(root, partial, f.Name())) // the next start tries again
		}
	}
	return d, nil
}

// make creates the folder.
func (d *Dir) make() error {
	if err := os.MkdirAll(filepath.Join(d.root, partial), 0o700); err != nil {
		return fmt.Errorf("make object store: %w", err)
	}
	return nil
}

// file returns the path of name, which must stay within the store.
func (d *Dir) file(name string) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) || strings.HasPrefix(name, partial) || strings.HasSuffix(name, "/") {
		return "", fmt.Errorf("%w: %q is not the name of an object", ErrNotFound, name)
	}
	return filepath.Join(d.root, filepath.FromSlash(name)), nil
}

// Put implements Store: the bytes are fsynced under a passing name, which is
// then linked to the real one, which only one writer can do.
func (d *Dir) Put(ctx context.Context, name string, b []byte) error {
	path, err := d.file(name)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	temp, err := d.writeTemp(b)
	if err != nil {
		return d.fail(err)
	}
	defer os.Remove(temp)
	if err := d.mkdirAll(filepath.Dir(path)); err != nil {
		return d.fail(err)
	}
	if err := os.Link(temp, path); errors.Is(err, fs.ErrExist) {
		return ErrExists
	} else if err != nil {
		return d.fail(err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return d.fail(err)
	}
	return nil
}

func (d *Dir) writeTemp(b []byte) (path string, err error) {
	folder := filepath.Join(d.root, partial)
	f, err := os.CreateTemp(folder, "put-*")
	if errors.Is(err, fs.ErrNotExist) {
		// It fails if the root is not there, and others may make it too.
		if err = os.Mkdir(folder, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
			f, err = os.CreateTemp(folder, "put-*")
		}
	}
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return f.Name(), err
}

// mkdirAll creates path, a folder below the root, and makes each new name
// durable.
func (d *Dir) mkdirAll(path string) error {
	if path == d.root {
		return nil
	}
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err = d.mkdirAll(filepath.Dir(path)); err == nil {
			err = os.Mkdir(path, 0o700)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// GetRange implements Store.
func (d *Dir) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	path, err := d.file(name)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, d.fail(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, d.fail(err)
	}
	if info.IsDir() {
		return nil, ErrNotFound
	}
	if off < 0 || n < 0 || off > info.Size()-n {
		return nil, fmt.Errorf("%w: it has %d bytes, asked for %d at %d", ErrDamaged, info.Size(), n, off)
	}
	b := make([]byte, n)
	if got, err := f.ReadAt(b, off); got < len(b) {
		return nil, d.fail(err)
	}
	return b, nil
}

// Delete implements Store.
func (d *Dir) Delete(ctx context.Context, name string) error {
	path, err := d.file(name)
	if err != nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.fail(err)
	}
	return nil
}

// List implements Store.
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		err := filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
			name := d.name(path)
			if err == nil {
				err = ctx.Err()
			}
			switch {
			case errors.Is(err, fs.ErrNotExist): // deleted while walking
				return nil
			case err != nil:
				return err
			case e.IsDir():
				return enter(name, prefix)
			case !strings.HasPrefix(name, prefix):
				return nil
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if !yield(Info{name, info.Size(), info.ModTime()}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(Info{}, d.fail(err))
		}
	}
}

// name returns the object's name for a path; "" for the root.
func (d *Dir) name(path string) string {
	rel, err := filepath.Rel(d.root, path)
	if err != nil || rel == "." {
		return ""
	}
	return filepath.ToSlash(rel)
}

// enter says whether the folder can hold names that begin with prefix.
func enter(folder, prefix string) error {
	if folder == "" {
		return nil
	}
	folder += "/"
	if folder != partial+"/" && (strings.HasPrefix(folder, prefix) || strings.HasPrefix(prefix, folder)) {
		return nil
	}
	return fs.SkipDir
}

// fail gives a file system's error the meaning of the package. A store whose
// folder is gone, for example because it is not mounted, has lost nothing; where the
// folder below the mount is seen, Home tells.
func (d *Dir) fail(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it ends early", ErrDamaged)
	case errors.Is(err, fs.ErrNotExist):
		if _, gone := os.Stat(d.root); gone == nil {
			return ErrNotFound
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
