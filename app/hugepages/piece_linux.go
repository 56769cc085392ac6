package hugepages

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// piece is the size of a huge page in bytes, and pages how many small ones it is.
	piece, pages = 2 << 20, piece / 4096
	// dense is how many of them must be there: moving takes 1/32 more memory at most.
	dense = pages - pages/32
)

// A region is some memory of the process, from first to before end.
type region struct{ first, end uintptr }

// find returns the beginnings of the pieces that are in use and were not moved.
func (k *Keeper) find() (all []uintptr, err error) {
	if os.Getpagesize()*pages != piece {
		return nil, ErrNotSupported
	}
	regions, err := regions()
	if err != nil {
		return nil, err
	}
	for _, r := range regions {
		for at := (r.first + piece - 1) &^ (piece - 1); at+piece <= r.end; at += piece {
			if _, done := k.done[at]; !done && full(at) {
				all = append(all, at)
			}
		}
	}
	return all, nil
}

// move moves a piece, if it is still in use. What the kernel cannot move, or not
// just now, is left alone. It fails when there is no memory for it.
func (k *Keeper) move(at uintptr) error {
	if !full(at) {
		return nil
	}
	switch _, _, errno := unix.Syscall(unix.SYS_MADVISE, at, piece, unix.MADV_COLLAPSE); errno {
	case 0:
		if k.done == nil {
			k.done = map[uintptr]struct{}{}
		}
		k.done[at] = struct{}{}
		k.bytes.Store(max(k.bytes.Load(), k.moved())) // while all is looked at again there are fewer
	case unix.EAGAIN, unix.EBUSY, unix.EINVAL:
	default:
		return fmt.Errorf("huge: %w", errno)
	}
	return nil
}

// full reports whether nearly all pages of a piece are there.
func full(at uintptr) bool {
	var there [pages]byte
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, at, piece, uintptr(unsafe.Pointer(&there))); errno != 0 {
		return false // no longer mapped
	}
	return bytes.Count(there[:], []byte{1}) >= dense
}

// regions returns the memory that belongs to no file, and may be written.
func regions() ([]region, error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, errors.Join(ErrNotSupported, err)
	}
	defer f.Close()
	var all []region
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if r, ok := parse(lines.Bytes()); ok {
			all = append(all, r)
		}
	}
	return all, lines.Err()
}

// parse reads a line of /proc/self/maps: first-end, rights, offset, device, inode,
// and perhaps a name. Names in brackets are given to memory by the process, or
// say that it is a stack or the like.
func parse(line []byte) (r region, ok bool) {
	fields := bytes.Fields(line)
	if len(fields) < 5 || string(fields[1]) != "rw-p" || string(fields[4]) != "0" {
		return r, false
	}
	if len(fields) > 5 && !bytes.HasPrefix(fields[5], []byte("[anon")) {
		return r, false
	}
	first, end, _ := bytes.Cut(fields[0], []byte{'-'})
	a, err1 := strconv.ParseUint(string(first), 16, 64)
	b, err2 := strconv.ParseUint(string(end), 16, 64)
	return region{uintptr(a), uintptr(b)}, err1 == nil && err2 == nil && b-a >= piece
}
