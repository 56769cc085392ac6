package faultfs

import (
	"bytes"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
)

const (
	osCreate = os.O_CREATE
	osTrunc  = os.O_TRUNC
)

// An inode is a file's content, as seen and as on disk. dirty holds the sectors
// that the next Sync makes durable.
type inode struct {
	seen  []byte
	disk  []byte
	dirty map[int]bool
}

// newInode returns a file whose content is durable.
func newInode(b []byte) *inode {
	return &inode{seen: b, disk: slices.Clone(b), dirty: make(map[int]bool)}
}

// truncate empties the file, durably: tests need no more.
func (n *inode) truncate() {
	n.seen, n.disk = nil, nil
	clear(n.dirty)
}

// write changes what is seen and marks the sectors.
func (n *inode) write(b []byte, off int64) {
	if end := int(off) + len(b); end > len(n.seen) {
		n.seen = append(n.seen, make([]byte, end-len(n.seen))...)
	}
	copy(n.seen[off:], b)
	if len(b) == 0 {
		return
	}
	for s := int(off) / Sector; s <= (int(off)+len(b)-1)/Sector; s++ {
		n.dirty[s] = true
	}
}

// sync makes the marked sectors durable.
func (n *inode) sync() {
	for s := range n.dirty {
		n.disk = putSector(n.disk, n.seen, s)
	}
	clear(n.dirty)
}

// crash returns the file as it is after a power cut.
func (n *inode) crash(rng *rand.Rand, loss Loss) *inode {
	b := slices.Clone(n.disk)
	if loss == DropNone {
		return newInode(slices.Clone(n.seen))
	}
	var sectors []int
	for s := range n.dirty {
		sectors = append(sectors, s)
	}
	slices.Sort(sectors)
	for _, s := range sectors {
		if keep(rng, loss) {
			b = putSector(b, n.seen, s)
		}
	}
	return newInode(b)
}

// putSector copies one sector of from into to, which grows as needed.
func putSector(to, from []byte, s int) []byte {
	start := s * Sector
	end := min(start+Sector, len(from))
	if end > len(to) {
		to = append(to, make([]byte, end-len(to))...)
	}
	copy(to[start:end], from[start:end])
	return to
}

// A file is an open file.
type file struct {
	fs     *FS
	name   string
	node   *inode
	closed bool
}

// ReadAt is part of persist.File.
func (h *file) ReadAt(b []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.usableLocked(); err != nil {
		return 0, err
	}
	return bytes.NewReader(h.node.seen).ReadAt(b, off)
}

// WriteAt is part of persist.File.
func (h *file) WriteAt(b []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.usableLocked(); err != nil {
		return 0, err
	}
	err := h.fs.stepLocked("write " + h.name)
	if err != nil {
		b = b[:h.fs.mu.rng.IntN(len(b)+1)]
	} else if over := h.overLocked(off + int64(len(b))); over > 0 {
		b, err = b[:int64(len(b))-over], &fs.PathError{Op: "write", Path: h.name, Err: syscall.ENOSPC}
	}
	h.node.write(b, off)
	if err != nil {
		return len(b), err
	}
	return len(b), nil
}

// overLocked returns by how much the file may not grow to end, in bytes.
func (h *file) overLocked(end int64) int64 {
	growth := end - int64(len(h.node.seen))
	if growth <= 0 {
		return 0
	}
	return max(0, growth-max(0, h.fs.freeLocked()))
}

// Sync is part of persist.File.
func (h *file) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.usableLocked(); err != nil {
		return err
	}
	err := h.fs.stepLocked("sync " + h.name)
	switch err {
	case nil:
		h.node.sync()
	case ErrInjected:
		clear(h.node.dirty)
	}
	return err
}

// Size is part of persist.File.
func (h *file) Size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return int64(len(h.node.seen)), h.usableLocked()
}

// Close is part of persist.File.
func (h *file) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	h.closed = true
	return nil
}

// usableLocked returns why the file cannot be used.
func (h *file) usableLocked() error {
	if h.closed {
		return fs.ErrClosed
	}
	if h.fs.mu.cut {
		return ErrPowerCut
	}
	return nil
}

var _ io.ReaderAt = (*file)(nil)
