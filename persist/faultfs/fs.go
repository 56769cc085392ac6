// Package faultfs is a file system in memory for tests of what writes to disk. It
// keeps apart what a program sees and what would survive a power cut, and it can
// fail any operation:
//
//   - bytes survive once File.Sync returned; of the rest a power cut keeps any
//     subset of sectors, so writes tear;
//   - creations, renames and removals survive once SyncDir returned; of the rest a
//     power cut keeps any subset;
//   - after a failed Sync the bytes stay visible, and never become durable by
//     a later Sync: systems behave so.
//
// Everything random comes from one seed and from the order of operations.
package faultfs

import (
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"keywatch/persist/disk"
)

var (
	// ErrInjected is what a failed operation returns.
	ErrInjected = errors.New("injected failure")
	// ErrPowerCut is returned by everything after the cut.
	ErrPowerCut = errors.New("power is cut")
)

// Sector is the unit that a power cut keeps or drops as a whole, in bytes.
const Sector = 512

// Loss says what a power cut does to what was not synced.
type Loss int

const (
	// DropSome keeps a random subset.
	DropSome Loss = iota
	// DropAll keeps nothing.
	DropAll
	// DropNone keeps all, as when only the process dies.
	DropNone
)

var _ disk.FS = (*FS)(nil)

// An FS is a file system in memory. It is safe for concurrent use.
type FS struct {
	mu struct {
		sync.Mutex
		rng     *rand.Rand
		names   map[string]*inode // as seen
		durable map[string]*inode // as after a power cut that drops everything
		pending []change          // to names, not yet durable
		ops     int
		failAt  int // operation that fails, 0 for none
		cutAt   int // operation that the power is cut in, 0 for none
		cut     bool
		most    int64 // bytes of all files
		trace   []string
	}
}

// A change is one entry of a folder put (to a file), taken away (nil), or moved
// from another name.
type change struct {
	name string
	node *inode
	from string
}

// New returns an empty file system whose randomness comes from seed.
func New(seed uint64) *FS {
	f := &FS{}
	f.mu.rng = rand.New(rand.NewPCG(seed, seed))
	f.mu.most = math.MaxInt64
	f.mu.names, f.mu.durable = make(map[string]*inode), make(map[string]*inode)
	return f
}

// FailAt makes the n-th operation from now on that changes or syncs something
// fail, n counting from 1. A failed write has written a random part.
func (f *FS) FailAt(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.failAt = f.mu.ops + n
}

// CutAt cuts the power in the n-th such operation from now on. A write that it
// hits may have reached the disk in part.
func (f *FS) CutAt(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.cutAt = f.mu.ops + n
}

// Limit bounds how many bytes all files together have: a write beyond fails with
// syscall.ENOSPC when it has written what fits. The default is no limit.
func (f *FS) Limit(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.most = bytes
}

// Free is part of disk.FS.
func (f *FS) Free(string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.freeLocked(), nil
}

func (f *FS) freeLocked() int64 {
	free := f.mu.most
	if free == math.MaxInt64 {
		return free
	}
	for _, node := range f.mu.names {
		free -= int64(len(node.seen))
	}
	return free
}

// Ops returns how many operations there were that changed or synced something.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.ops
}

// Trace returns those operations, one a line.
func (f *FS) Trace() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.mu.trace, "\n")
}

// Crash returns the file system as it is found after a power cut now. The old one
// is unchanged, but usually of no more use.
func (f *FS) Crash(loss Loss) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := New(f.mu.rng.Uint64())
	names := make(map[string]*inode)
	for n, node := range f.mu.durable {
		names[n] = node
	}
	for _, c := range f.mu.pending {
		if keep(f.mu.rng, loss) {
			apply(names, c)
		}
	}
	images := make(map[*inode]*inode)
	for _, n := range sortedKeys(names) {
		node := names[n]
		if images[node] == nil {
			images[node] = node.crash(f.mu.rng, loss)
		}
		next.mu.names[n], next.mu.durable[n] = images[node], images[node]
	}
	return next
}

// Names returns the paths of all files, sorted.
func (f *FS) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return sortedKeys(f.mu.names)
}

// Content returns a copy of what a file holds, nil if it does not exist.
func (f *FS) Content(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	node := f.mu.names[clean(name)]
	if node == nil {
		return nil
	}
	return append([]byte{}, node.seen...)
}

// SetContent replaces what a file holds, durably and without counting as an
// operation: damage is made with it.
func (f *FS) SetContent(name string, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	node := newInode(slices.Clone(b))
	f.mu.names[clean(name)], f.mu.durable[clean(name)] = node, node
}

// OpenFile is part of disk.FS.
func (f *FS) OpenFile(name string, flag int, _ fs.FileMode) (disk.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = clean(name)
	node := f.mu.names[name]
	if node == nil && flag&osCreate == 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if node == nil || flag&osTrunc != 0 {
		if err := f.stepLocked("open " + name); err != nil {
			return nil, err
		}
	}
	if node == nil {
		node = newInode(nil)
		f.changeLocked(name, node)
	} else if flag&osTrunc != 0 {
		node.truncate()
	}
	return &file{fs: f, name: name, node: node}, nil
}

// Remove is part of disk.FS.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = clean(name)
	if f.mu.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if err := f.stepLocked("remove " + name); err != nil {
		return err
	}
	f.changeLocked(name, nil)
	return nil
}

// Rename is part of disk.FS. A power cut keeps it whole or drops it whole.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, to = clean(from), clean(to)
	node := f.mu.names[from]
	if node == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if err := f.stepLocked("rename " + from + " " + to); err != nil {
		return err
	}
	f.mu.pending = append(f.mu.pending, change{name: to, node: node, from: from})
	apply(f.mu.names, f.mu.pending[len(f.mu.pending)-1])
	return nil
}

// ReadDir is part of disk.FS.
func (f *FS) ReadDir(name string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.cut {
		return nil, ErrPowerCut
	}
	var names []string
	for _, n := range sortedKeys(f.mu.names) {
		if path.Dir(n) == clean(name) {
			names = append(names, path.Base(n))
		}
	}
	return names, nil
}

// MkdirAll is part of disk.FS. Folders exist without being made.
func (f *FS) MkdirAll(string, fs.FileMode) error { return nil }

// SyncDir is part of disk.FS.
func (f *FS) SyncDir(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.stepLocked("syncdir " + clean(name)); err != nil {
		return err
	}
	var rest []change
	for _, c := range f.mu.pending {
		if path.Dir(c.name) == clean(name) {
			apply(f.mu.durable, c)
		} else {
			rest = append(rest, c)
		}
	}
	f.mu.pending = rest
	return nil
}

// changeLocked changes what is seen of a folder.
func (f *FS) changeLocked(name string, node *inode) {
	c := change{name: name, node: node}
	f.mu.pending = append(f.mu.pending, c)
	apply(f.mu.names, c)
}

// stepLocked counts an operation and says whether it fails.
func (f *FS) stepLocked(what string) error {
	if f.mu.cut {
		return ErrPowerCut
	}
	f.mu.ops++
	f.mu.trace = append(f.mu.trace, what)
	switch f.mu.ops {
	case f.mu.cutAt:
		f.mu.cut = true
		return ErrPowerCut
	case f.mu.failAt:
		return ErrInjected
	}
	return nil
}

// apply makes a change to a set of names.
func apply(names map[string]*inode, c change) {
	if c.node == nil {
		delete(names, c.name)
		return
	}
	if c.from != "" && names[c.from] == c.node {
		delete(names, c.from)
	}
	names[c.name] = c.node
}

// keep decides whether something that was not synced survives.
func keep(rng *rand.Rand, loss Loss) bool {
	return loss == DropNone || loss == DropSome && rng.IntN(2) == 0
}

func clean(name string) string { return path.Clean(filepath.ToSlash(name)) }

func sortedKeys(m map[string]*inode) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
