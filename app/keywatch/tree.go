package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

const (
	// treeMark is the file that marks a folder as mirrored to; it holds the
	// prefix. No key has its name, because of the dot.
	treeMark = ".keywatch-mirror"
	// treeTemp begins the names of files that are not complete.
	treeTemp = ".keywatch-new-"
	// ownValue is the file with the value of a key that is a folder too.
	ownValue = "%value"
)

// tree is a folder with a file for each key. Whatever it does stays inside, also
// where the folder has links that lead out of it.
type tree struct {
	root   *os.Root
	prefix string
}

// openTree opens a folder that is empty, absent or was mirrored to before with
// the same prefix. It fails with a usage error if it is anything else.
func openTree(dir, prefix string) (*tree, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	t := &tree{root: root, prefix: prefix}
	if err := t.claim(dir); err != nil {
		root.Close()
		return nil, err
	}
	return t, nil
}

func (t *tree) close() { t.root.Close() }

// claim sees to it that only what was mirrored is ever removed.
func (t *tree) claim(dir string) error {
	mark, err := t.root.ReadFile(treeMark)
	if err == nil {
		if had := strings.TrimSuffix(string(mark), "\n"); had != t.prefix {
			return usagef("%s is the mirror of %q; take another folder for %q", dir, had, t.prefix)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	list, err := fs.ReadDir(t.root.FS(), ".")
	if err != nil {
		return err
	}
	if len(list) > 0 {
		return usagef("%s is not empty and was not mirrored to before", dir)
	}
	return t.root.WriteFile(treeMark, []byte(t.prefix+"\n"), 0o644)
}

// file returns the path of a key's file, if the key is no folder too.
func (t *tree) file(key string) string {
	segments := strings.Split(strings.TrimPrefix(key, t.prefix), "/")
	for i, s := range segments {
		s = strings.ReplaceAll(s, "%", "%25")
		if strings.HasPrefix(s, ".") {
			s = "%2E" + s[1:]
		}
		segments[i] = s
	}
	return path.Join(segments...)
}

// parents returns the folders above a file, the nearest first.
func parents(file string) (list []string) {
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		list = append(list, dir)
	}
	return list
}

func (t *tree) isDir(name string) bool {
	info, err := t.root.Lstat(name)
	return err == nil && info.IsDir()
}

// put makes the file of key hold value. A file that holds it already stays.
func (t *tree) put(key string, value []byte) error {
	file := t.file(key)
	if err := t.makeRoom(file); err != nil {
		return err
	}
	if t.isDir(file) {
		file = path.Join(file, ownValue)
	}
	if info, err := t.root.Lstat(file); err == nil && info.Mode().IsRegular() && info.Size() == int64(len(value)) {
		if have, err := t.root.ReadFile(file); err == nil && bytes.Equal(have, value) {
			return nil
		}
	}
	return t.replace(file, value)
}

// replace writes a file atomically.
func (t *tree) replace(file string, value []byte) error {
	temp := fmt.Sprint(treeTemp, os.Getpid())
	if err := t.root.WriteFile(temp, value, 0o644); err != nil {
		return err
	}
	if err := t.root.Rename(temp, file); err != nil {
		return errors.Join(err, t.root.Remove(temp))
	}
	return nil
}

// makeRoom makes the folders above file. What is a file there becomes the value
// of its folder.
func (t *tree) makeRoom(file string) error {
	dirs := parents(file)
	for i := len(dirs) - 1; i >= 0; i-- {
		dir := dirs[i]
		err := t.root.Mkdir(dir, 0o755)
		if err == nil || t.isDir(dir) {
			continue
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		temp := fmt.Sprint(treeTemp, os.Getpid())
		if err := errors.Join(t.root.Rename(dir, temp), t.root.Mkdir(dir, 0o755), t.root.Rename(temp, path.Join(dir, ownValue))); err != nil {
			return err
		}
	}
	return nil
}

// remove removes the file of key, if there is one, and the folders that are
// empty without it.
func (t *tree) remove(key string) error {
	file := t.file(key)
	if t.isDir(file) {
		file = path.Join(file, ownValue)
	}
	if err := t.root.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	return t.tidy(file)
}

// tidy removes the folders above a file that was removed, as far as they are
// empty. A folder with nothing but a value of its own becomes a file.
func (t *tree) tidy(file string) error {
	for _, dir := range parents(file) {
		list, err := fs.ReadDir(t.root.FS(), dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case len(list) == 0:
			err = t.root.Remove(dir)
		case len(list) == 1 && list[0].Name() == ownValue:
			temp := fmt.Sprint(treeTemp, os.Getpid())
			return errors.Join(t.root.Rename(path.Join(dir, ownValue), temp), t.root.Remove(dir), t.root.Rename(temp, dir))
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// become makes the tree hold exactly the entries. It returns how many keys are
// too long for a file name.
func (t *tree) become(entries map[string][]byte) (skipped int, err error) {
	if err := t.sweep(t.layout(entries)); err != nil {
		return 0, err
	}
	for key, value := range entries {
		err := t.put(key, value)
		if errors.Is(err, syscall.ENAMETOOLONG) {
			skipped++
		} else if err != nil {
			return skipped, fmt.Errorf("mirror of %q: %w", key, err)
		}
	}
	return skipped, nil
}

// layout returns the files that the entries have, and the folders above them.
func (t *tree) layout(entries map[string][]byte) map[string]bool {
	names := map[string]bool{treeMark: true}
	for key := range entries {
		for _, dir := range parents(t.file(key)) {
			names[dir] = true
		}
	}
	for key := range entries {
		file := t.file(key)
		if names[file] {
			file = path.Join(file, ownValue)
		}
		names[file] = true
	}
	return names
}

// sweep removes what is not wanted, the deepest first.
func (t *tree) sweep(wanted map[string]bool) error {
	var unwanted []string
	err := fs.WalkDir(t.root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && name != "." && !wanted[name] {
			unwanted = append(unwanted, name)
		}
		return err
	})
	for i := len(unwanted) - 1; i >= 0 && err == nil; i-- {
		err = t.root.Remove(unwanted[i])
	}
	return err
}
