package wal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// GroupHead, SegmentHead and EntryHead let tests reckon places in files.
const (
	GroupHead   = groupHead
	SegmentHead = segmentHead
	EntryHead   = entryHead
)

// Inline makes the log do its housekeeping within the calls that cause it, in one
// fixed order, and start no goroutine.
func Inline(o Options) Options { o.inline = true; return o }

// TrustTail turns off the search for proof of damage beyond the cut.
func TrustTail(o Options) Options { o.trustTail = true; return o }

// Pause does what happens after a while without writes.
func (l *Log) Pause() { l.flush(l.tailSeq()); l.tell() }

// DecodeGroup decodes a group and returns its payload and how long it is on disk.
func DecodeGroup(b []byte, salt uint64) (payload []byte, size int64, err error) {
	g, err := decodeGroup(b, salt)
	return g.payload, groupSize(len(g.payload)), err
}

// EncodeGroup encodes a group around one entry.
func EncodeGroup(e *Entry, salt, seq, synced uint64) []byte {
	return sealGroup(appendEntry(make([]byte, groupHead), e), group{
		salt: salt, seq: seq, synced: synced, run: 1 << 31, kind: kindEntries, index: e.Index, count: 1})
}

// DecodeEntry and EncodeEntry are the codec of one entry.
var (
	DecodeEntry = decodeEntry
	EncodeEntry = appendEntry
)

// DecodeStable reads the content of a stable store's file.
func DecodeStable(b []byte) (map[string][]byte, error) {
	values := make(map[string][]byte)
	return values, decodeStable(b, values)
}

// EncodeStable is its reverse.
var EncodeStable = encodeStable

// LaterSegment, LaterGroup and LaterStable return files as a later release may write
// them: the head of a segment, its first group, a stable store.
func LaterSegment(b []byte) []byte {
	b = bytes.Clone(b)
	copy(b, segmentKind+"02")
	binary.LittleEndian.PutUint32(b[28:], crc32.Checksum(b[:28], castagnoli))
	return b
}

func LaterGroup(b []byte) []byte {
	b = bytes.Clone(b)
	g := b[segmentHead:]
	size, _ := groupLength(g, binary.LittleEndian.Uint64(b[20:]))
	g[52] = byte(lastKind + 1)
	binary.LittleEndian.PutUint32(g[4:], crc32.Checksum(g[8:size], castagnoli))
	return b
}

func LaterStable(b []byte) []byte {
	b = bytes.Clone(b)
	copy(b, stableKind+"02")
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	return b
}

// Ring is how many entries m has room for.
func (m *MemLog) Ring() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.mu.ring)
}
