package object

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"keywatch/kv"
)

// A Segment is the index of one segment.
type Segment struct {
	ID      ID
	Writer  Writer
	Records []Record
	// Size is the length of the object in bytes.
	Size int64
}

func damaged(id ID, why string) error {
	return fmt.Errorf("%w: segment %s: %s", ErrDamaged, id.Name(), why)
}

// lost is the error for a segment that is not in its store. It matches ErrNotFound too.
func lost(id ID) error {
	return fmt.Errorf("%w: segment %s: it is lost: %w", ErrDamaged, id.Name(), ErrNotFound)
}

// Decode reads a whole segment and checks every byte of it. It fails with an
// error that matches ErrDamaged or ErrNewer and names the segment.
func Decode(id ID, b []byte) (*Segment, error) {
	if len(b) < headSize+trailerSize {
		return nil, damaged(id, "too short")
	}
	t, err := parseEnds(id, b[:headSize], b[len(b)-trailerSize:], int64(len(b)))
	if err != nil {
		return nil, err
	}
	s := &Segment{ID: id, Writer: Writer(b[32:48]), Size: int64(len(b))}
	if s.Records, err = parseFooter(id, t, b[t.footer:len(b)-trailerSize]); err != nil {
		return nil, err
	}
	for _, r := range s.Records {
		if _, err := s.Value(b, r); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Value returns the value of one of the segment's records, out of the bytes of
// the whole segment, with which it shares memory.
func (s *Segment) Value(b []byte, r Record) ([]byte, error) {
	have, value, why := parseRecord(s.ID, r.Offset, b[r.Offset:r.end()])
	if why == "" && have != r {
		why = "footer and record disagree"
	}
	if why != "" {
		return nil, damaged(s.ID, fmt.Sprintf("record at %d: %s", r.Offset, why))
	}
	return value, nil
}

func parseEnds(id ID, head, tail []byte, size int64) (trailer, error) {
	if _, why := parseHeader(id, head); why == laterVersion {
		return trailer{}, fmt.Errorf("segment %s: %w", id.Name(), ErrNewer)
	} else if why != "" {
		return trailer{}, damaged(id, why)
	}
	t, why := parseTrailer(head[:headSize], tail, size)
	if why != "" {
		return trailer{}, damaged(id, why)
	}
	return t, nil
}

// parseFooter reads the index. Records lie one after the other, without a gap,
// between header and footer.
func parseFooter(id ID, t trailer, b []byte) ([]Record, error) {
	if crc32.Checksum(b, castagnoli) != t.sum {
		return nil, damaged(id, "footer checksum mismatch")
	}
	records, next := make([]Record, t.count), int64(headSize)
	for i := range records {
		e := b[i*footerEntry:]
		r := parseRecordHead(e[8:])
		r.Offset = int64(binary.LittleEndian.Uint64(e))
		if r.Offset != next || r.Size > MaxValue || r.end() > t.footer {
			return nil, damaged(id, fmt.Sprintf("footer entry %d is out of place", i))
		}
		records[i], next = r, r.end()
	}
	if next != t.footer {
		return nil, damaged(id, "bytes that the footer does not list")
	}
	return records, nil
}

// ReadValue reads one value: the version of key at at, of size bytes, whose
// record begins at offset in segment id. What looks damaged is read once more,
// because the way may have damaged it. It fails with the errors of
// Store.GetRange, or ErrNewer; those that match ErrDamaged or ErrNotFound name the
// segment.
func ReadValue(ctx context.Context, s Store, id ID, offset int64, key string, at kv.Locator, size int) (string, error) {
	want := Record{Key: HashKey(key), At: at, Offset: offset, Size: size}
	value, err := readRecord(ctx, s, id, want)
	if isDamaged(err) {
		value, err = readRecord(ctx, s, id, want)
	}
	if isDamaged(err) && isLater(ctx, s, id) {
		err = fmt.Errorf("segment %s: %w", id.Name(), ErrNewer)
	}
	return string(value), err
}

// isLater reports whether a later release wrote the segment.
func isLater(ctx context.Context, s Store, id ID) bool {
	head, err := s.GetRange(ctx, id.Name(), 0, headSize)
	if err != nil {
		return false
	}
	_, why := parseHeader(id, head)
	return why == laterVersion
}

func readRecord(ctx context.Context, s Store, id ID, want Record) ([]byte, error) {
	b, err := s.GetRange(ctx, id.Name(), want.Offset, recordHead+int64(want.Size))
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", id.Name(), err)
	}
	r, value, why := parseRecord(id, want.Offset, b)
	if why == "" && r != want {
		why = "it holds another version"
	}
	if why != "" {
		return nil, damaged(id, fmt.Sprintf("record at %d: %s", want.Offset, why))
	}
	return value, nil
}
