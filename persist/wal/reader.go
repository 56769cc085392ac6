package wal

import (
	"encoding/binary"

	"keywatch/persist/disk"
)

// A reader reads a segment forwards in large pieces.
type reader struct {
	file disk.File
	size int64
	off  int64  // where buf is in the file
	buf  []byte // valid bytes
}

// window returns n bytes at off; the file has them.
func (r *reader) window(off int64, n int64) ([]byte, error) {
	if off < r.off || off+n > r.off+int64(len(r.buf)) {
		want := min(max(n, fillChunk), r.size-off)
		if int64(cap(r.buf)) < want {
			r.buf = make([]byte, want)
		}
		r.off, r.buf = off, r.buf[:want]
		if _, err := r.file.ReadAt(r.buf, off); err != nil {
			r.buf = r.buf[:0]
			return nil, err
		}
	}
	return r.buf[off-r.off:][:n], nil
}

// group reads the group at off and its size. why tells why there is none; err is
// a failure to read. The payload is valid until the next call.
func (r *reader) group(off int64, salt uint64) (g group, size int64, why, err error) {
	if off+groupHead > r.size {
		return group{}, 0, errNoGroup, nil
	}
	head, err := r.window(off, groupHead)
	if err != nil {
		return group{}, 0, nil, err
	}
	size, why = groupLength(head, salt)
	if why == nil && off+size > r.size {
		why = errChecksum // what a damaged length looks like
	}
	if why != nil {
		return group{}, 0, why, nil
	}
	b, err := r.window(off, size)
	if err != nil {
		return group{}, 0, nil, err
	}
	g, why = decodeGroup(b, salt)
	return g, size, why, nil
}

// find returns the first place at or after off that looks like the head of a group
// of this segment, -1 if there is none.
func (r *reader) find(off int64, salt uint64) (int64, error) {
	for off+groupHead <= r.size {
		n := r.off + int64(len(r.buf)) - off // what is read already
		if off < r.off || n < groupHead {
			n = min(fillChunk, r.size-off)
		}
		b, err := r.window(off, n)
		if err != nil {
			return 0, err
		}
		for i := 0; i+groupHead <= len(b); i += groupAlign {
			if binary.LittleEndian.Uint64(b[i+8:]) == salt &&
				binary.LittleEndian.Uint32(b[i:]) == groupMagic {
				return off + int64(i), nil
			}
		}
		off += (n-groupHead)&^(groupAlign-1) + groupAlign
	}
	return -1, nil
}
