package wal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"keywatch/persist/disk"
)

// Layout of a segment's head, little endian: magic, number uint32, size int64,
// salt uint64, CRC32C uint32 of all before it. The first group begins at
// segmentHead; the head's sector is written once and never again.
const (
	segmentMagic  = "KWSEGv01"
	segmentFields = 32
	segmentHead   = 512

	segmentPrefix = "log-"
	segmentSuffix = ".seg"
	freshName     = "log-fresh.tmp" // being made
	spareName     = "log-spare.tmp" // given up, to be used again

	fillChunk = 1 << 20 // zeros written at once
	fillSync  = 4 << 20 // zeros written between two fsyncs
)

// A segment is one file of the log. Its salt is random and part of each of its
// groups: bytes of an earlier life of the file, or of a value that looks like a
// group, are never taken for one of its groups.
type segment struct {
	file   disk.File
	path   string
	number uint32 // 1, 2, 3 ... without a hole
	salt   uint64
	size   int64
	end    int64 // where the next group goes; guarded by Log.mu
}

// segmentName returns a segment's file name.
func segmentName(number uint32) string {
	return fmt.Sprintf("%s%08x%s", segmentPrefix, number, segmentSuffix)
}

// parseSegmentName returns the number in a segment's file name.
func parseSegmentName(name string) (number uint32, ok bool) {
	hex, ok := strings.CutPrefix(name, segmentPrefix)
	if !ok {
		return 0, false
	}
	hex, ok = strings.CutSuffix(hex, segmentSuffix)
	n, err := strconv.ParseUint(hex, 16, 32)
	return uint32(n), ok && err == nil && len(hex) == 8
}

// newSalt returns a random salt.
func newSalt() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// encodeHead returns the first bytes of the segment's file.
func (s *segment) encodeHead() []byte {
	b := make([]byte, segmentFields)
	le := binary.LittleEndian
	copy(b, segmentMagic)
	le.PutUint32(b[8:], s.number)
	le.PutUint64(b[12:], uint64(s.size))
	le.PutUint64(b[20:], s.salt)
	le.PutUint32(b[28:], crc32.Checksum(b[:28], castagnoli))
	return b
}

// fits tells whether a group of n bytes leaves room for the seal.
func (s *segment) fits(n int64) bool { return s.end+n+groupSize(0) <= s.size }

// openSegment opens a segment that an earlier run made. A bad head and a file
// shorter than its head says are damage: both were durable before the file
// got its name.
func openSegment(fsys disk.FS, dir string, number uint32) (*segment, error) {
	path := filepath.Join(dir, segmentName(number))
	f, err := fsys.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open log segment: %w", err)
	}
	s := &segment{file: f, path: path, number: number, end: segmentHead}
	if err := s.readHead(); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// readHead fills in salt and size from the file.
func (s *segment) readHead() error {
	length, err := s.file.Size()
	if err != nil {
		return fmt.Errorf("open log segment: %w", err)
	}
	if length < segmentHead {
		return s.damage(length, "the file ends within its head")
	}
	b := make([]byte, segmentFields)
	if _, err := s.file.ReadAt(b, 0); err != nil {
		return fmt.Errorf("open log segment: %w", err)
	}
	le := binary.LittleEndian
	s.size, s.salt = int64(le.Uint64(b[12:])), le.Uint64(b[20:])
	if string(b[:8]) != segmentMagic || crc32.Checksum(b[:28], castagnoli) != le.Uint32(b[28:]) {
		return s.damage(0, "the segment's head does not match its checksum")
	}
	if le.Uint32(b[8:]) != s.number {
		return s.damage(8, "the head names another segment than the file's name")
	}
	if length < s.size {
		return s.damage(length, fmt.Sprintf("the file should have %d bytes", s.size))
	}
	return nil
}

// damage returns a *disk.DamageError at an offset of this segment.
func (s *segment) damage(offset int64, reason string) error {
	return &disk.DamageError{File: s.path, Offset: offset, Reason: reason, Remedy: disk.Remedy}
}
