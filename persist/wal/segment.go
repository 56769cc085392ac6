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
// salt uint64, CRC32C uint32 of all before it; then the store's id uint64 and
// CRC32C uint32 of salt and id, or zeros if an earlier release made the segment.
// The first group begins at segmentHead; the head's sector is written once and
// never again. The last two digits of the magic are the format; another one keeps
// the first checksum where it is, and takes another magic for its groups.
const (
	segmentMagic  = "KWSEGv01"
	segmentKind   = "KWSEGv"
	segmentFields = 44
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
	store  disk.StoreID // whose log it is; 0 if the head does not say
	size   int64
	end    int64 // where the next group is written; guarded by Log.mu
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

// IsSegment reports whether a file in a folder is part of a log by its name.
func IsSegment(name string) bool {
	_, ok := parseSegmentName(name)
	return ok
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
	if s.store != 0 {
		le.PutUint64(b[32:], uint64(s.store))
		le.PutUint32(b[40:], storeSum(b))
	}
	return b
}

// storeSum is the checksum of salt and store in a head.
func storeSum(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[20:28], castagnoli), castagnoli, head[32:40])
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
	if crc32.Checksum(b[:28], castagnoli) != le.Uint32(b[28:]) {
		return s.damage(0, "the segment's head does not match its checksum")
	}
	if magic := string(b[:8]); magic != segmentMagic {
		return s.unknown(magic)
	}
	if le.Uint32(b[8:]) != s.number {
		return s.damage(8, "the head names another segment than the file's name")
	}
	if length < s.size {
		return s.damage(length, fmt.Sprintf("the file should have %d bytes", s.size))
	}
	if s.store = disk.StoreID(le.Uint64(b[32:])); (s.store != 0 || le.Uint32(b[40:]) != 0) && le.Uint32(b[40:]) != storeSum(b) {
		return s.damage(32, "the store's id does not match its checksum")
	}
	return nil
}

// unknown returns the error for a segment whose head is whole and has another magic.
func (s *segment) unknown(magic string) error {
	if format, ok := strings.CutPrefix(magic, segmentKind); ok {
		return disk.Newer(s.path, "log format "+format, "01")
	}
	return s.damage(0, "it is not a segment of a log")
}

// damage returns a *disk.DamageError at an offset of this segment.
func (s *segment) damage(offset int64, reason string) error {
	return &disk.DamageError{File: s.path, Offset: offset, Reason: reason, Remedy: Remedy}
}

// foreign returns the error for a segment of another store than the folder's.
func (s *segment) foreign(store disk.StoreID) error {
	return &disk.MisfitError{
		Kind: disk.ErrForeign, File: s.path,
		Reason: fmt.Sprintf("belongs to store %s, and the folder to store %s", s.store, store),
		Remedy: "put the right file back, or " + Remedy,
	}
}
