package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A renamer knows where the path of a module stands in a text.
type renamer struct {
	root, from, to string
	// packages matches the path of one of the module's packages, and of the
	// modules within it; alone matches the path of the module itself, which is
	// replaced only where nothing else can be meant.
	packages, alone *regexp.Regexp
}

var (
	// modulePath matches the module paths that are accepted: elements of lower and
	// upper case letters, digits and -._~ that begin and end with one of the former.
	modulePath = regexp.MustCompile(`^[a-zA-Z0-9]([\w.~-]*[a-zA-Z0-9])?(/[a-zA-Z0-9]([\w.~-]*[a-zA-Z0-9])?)*$`)
	moduleLine = regexp.MustCompile(`(?m)^module (\S+)$`)
)

// newRenamer returns one for the module in the folder root, which is to have the
// path to.
func newRenamer(root, to string) (*renamer, error) {
	if !modulePath.MatchString(to) {
		return nil, fmt.Errorf("%q is not a module path: expected one like example.org/team/keywatch", to)
	}
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	line := moduleLine.FindSubmatch(text)
	if line == nil {
		return nil, errors.New("go.mod names no module")
	}
	r := &renamer{root: root, from: string(line[1]), to: to}
	dirs, err := r.dirs()
	if err != nil {
		return nil, err
	}
	from := regexp.QuoteMeta(r.from)
	r.packages = regexp.MustCompile(`(^|[^\w./~$@{}-])` + from + `(/(?:\.\.\.|(?:` + strings.Join(dirs, "|") + `)\b))`)
	r.alone = regexp.MustCompile(`(?m)(^module |\breplace |^require )` + from + `\b([ =]|$)`)
	return r, nil
}

// hidden are folders that hold nothing of the module's source.
var hidden = []string{".git", "bin", "keywatch-data", "node_modules"}

// walk calls f for all files and folders of the module.
func (r *renamer) walk(f func(path string, d fs.DirEntry) error) error {
	return filepath.WalkDir(r.root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(hidden, d.Name()):
			return fs.SkipDir
		}
		return f(path, d)
	})
}

// dirs returns the folders at the top of the module, quoted.
func (r *renamer) dirs() (dirs []string, err error) {
	entries, err := os.ReadDir(r.root)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(hidden, e.Name()) {
			dirs = append(dirs, regexp.QuoteMeta(e.Name()))
		}
	}
	return dirs, nil
}

// files returns the paths of all regular files of the module.
func (r *renamer) files() (files []string, err error) {
	err = r.walk(func(path string, d fs.DirEntry) error {
		if d.Type().IsRegular() {
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// text returns text with the module at its new path.
func (r *renamer) text(text []byte) []byte {
	to := []byte("${1}" + r.to + "${2}")
	return r.alone.ReplaceAll(r.packages.ReplaceAll(text, to), to)
}

// file changes one file, and reports whether it did. Binary files stay.
func (r *renamer) file(path string) (changed bool, err error) {
	old, err := os.ReadFile(path)
	if err != nil || bytes.IndexByte(old, 0) >= 0 {
		return false, err
	}
	text := r.text(old)
	if bytes.Equal(text, old) {
		return false, nil
	}
	if filepath.Ext(path) == ".go" {
		if text, err = format.Source(text); err != nil {
			return false, fmt.Errorf("format %s: %w", path, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return true, os.WriteFile(path, text, info.Mode().Perm())
}
