package object

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"keywatch/kv"
)

// A full backup is a file that holds the image of a checkpoint and every segment
// that it refers to. Its layout, all integers little-endian; changing any of it
// takes another magic:
//
//	16 bytes fullMagic
//	uint64   length of the image
//	uint32   CRC-32C of the above
//	...      the image
//	then for each segment, and once for the end:
//	byte     fullSegment or fullEnd
//	uint64   store
//	uint32   epoch
//	uint64   number; at the end how many segments there are
//	uint64   length
//	uint32   CRC-32C of the above
//	...      the segment, which has checksums of its own
const (
	fullMagic   = "\x89keywatch whole\x01" // the last byte is the format
	fullHead    = 16 + 8 + 4
	fullItem    = 1 + 8 + 4 + 8 + 8 + 4
	fullSegment = 1
	fullEnd     = 2
	// fullMax is the longest segment that is believed in.
	fullMax = 1 << 30
)

func sealed(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// unsealed reports whether b ends with the checksum of what is before.
func unsealed(b []byte) bool {
	end := len(b) - 4
	return binary.LittleEndian.Uint32(b[end:]) == crc32.Checksum(b[:end], castagnoli)
}

func fullItemOf(kind byte, id ID, n int64) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{kind}, uint64(id.Store))
	b = binary.LittleEndian.AppendUint32(b, uint32(id.Epoch))
	b = binary.LittleEndian.AppendUint64(b, id.Seq)
	return sealed(binary.LittleEndian.AppendUint64(b, uint64(n)))
}

// A counter counts what is written.
type counter struct {
	io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n += int64(n)
	return n, err
}

// WriteFull writes a full backup to w: size bytes of image and the segments ids
// out of s, each of which it checks. It returns the bytes written. It fails with an
// error that matches ErrDamaged and names the segment if one is damaged or lost,
// with ErrUnavailable, ctx's error or those of w and image.
func WriteFull(ctx context.Context, w io.Writer, image io.Reader, size int64, s Store, ids []ID) (int64, error) {
	out := &counter{Writer: w}
	sizes, err := sizesOf(ctx, s, ids)
	if err != nil {
		return 0, err
	}
	_, err = out.Write(sealed(binary.LittleEndian.AppendUint64([]byte(fullMagic), uint64(size))))
	if err == nil {
		_, err = io.CopyN(out, image, size)
	}
	if err != nil {
		return out.n, fmt.Errorf("copy the checkpoint: %w", err)
	}
	for _, id := range ids {
		b, err := fetchSegment(ctx, s, id, sizes)
		if err == nil {
			_, err = out.Write(append(fullItemOf(fullSegment, id, int64(len(b))), b...))
		}
		if err != nil {
			return out.n, err
		}
	}
	_, err = out.Write(fullItemOf(fullEnd, ID{Seq: uint64(len(ids))}, 0))
	return out.n, err
}

// sizesOf lists the segments of the stores and epochs that ids are of. It fails if
// one of ids is lost.
func sizesOf(ctx context.Context, s Store, ids []ID) (map[string]int64, error) {
	sizes, listed := make(map[string]int64), make(map[string]bool)
	for _, id := range ids {
		prefix := Prefix(id.Store, id.Epoch)
		if listed[prefix] {
			continue
		}
		listed[prefix] = true
		for info, err := range s.List(ctx, prefix) {
			if err != nil {
				return nil, fmt.Errorf("list segments: %w", err)
			}
			sizes[info.Name] = info.Size
		}
	}
	for _, id := range ids {
		if _, there := sizes[id.Name()]; !there {
			return nil, lost(id)
		}
	}
	return sizes, nil
}

func fetchSegment(ctx context.Context, s Store, id ID, sizes map[string]int64) ([]byte, error) {
	b, err := s.GetRange(ctx, id.Name(), 0, sizes[id.Name()])
	if errors.Is(err, ErrNotFound) {
		return nil, lost(id)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", id.Name(), err)
	}
	_, err = Decode(id, b)
	return b, err
}

// A FullBackup reads a full backup.
type FullBackup struct {
	// Image and Size say where in the file the image of the checkpoint is.
	Image, Size int64
	from        *io.SectionReader
}

// A BackupError says why a full backup cannot be read. It matches its kind.
type BackupError struct {
	Kind   error // ErrDamaged or ErrNewer
	Offset int64 // byte of the file
	Reason string
}

// Error names the kind and the reason.
func (e *BackupError) Error() string { return e.Kind.Error() + ": " + e.Reason }

// Is makes a BackupError match its kind.
func (e *BackupError) Is(target error) bool { return target == e.Kind }

// cutShort is the error for a full backup that is not what was written.
func cutShort(offset int64, why string) error {
	return &BackupError{ErrDamaged, offset, why + ", so the backup was cut short or changed"}
}

// OpenFull looks whether the n bytes of f are a full backup; it returns nil if
// they are something else. It fails with a *BackupError, or f's error.
func OpenFull(f io.ReaderAt, n int64) (*FullBackup, error) {
	head := make([]byte, min(n, fullHead))
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, err
	}
	version := len(fullMagic) - 1
	if len(head) < len(fullMagic) || string(head[:version]) != fullMagic[:version] {
		return nil, nil
	}
	if head[version] > fullMagic[version] && len(head) == fullHead && unsealed(head) {
		return nil, &BackupError{ErrNewer, 0, fmt.Sprintf("it has format %d, and this release knows %d", head[version], fullMagic[version])}
	}
	if len(head) < fullHead || !unsealed(head) || head[version] != fullMagic[version] {
		return nil, cutShort(0, "its head does not match its checksum")
	}
	size := int64(binary.LittleEndian.Uint64(head[len(fullMagic):]))
	if size < 0 || size > n-fullHead-fullItem {
		return nil, cutShort(n, fmt.Sprintf("the checkpoint in it has %d bytes", size))
	}
	from := fullHead + size
	return &FullBackup{Image: fullHead, Size: size, from: io.NewSectionReader(f, from, n-from)}, nil
}

// Segments calls f with every segment, after it was checked. It fails with a
// *BackupError if one is damaged, or the backup does not have its end, or with f's.
func (w *FullBackup) Segments(f func(id ID, b []byte) error) error {
	if _, err := w.from.Seek(0, io.SeekStart); err != nil {
		return err
	}
	at := w.Image + w.Size
	for count := uint64(0); ; count++ {
		id, b, err := w.next(at, count)
		if err != nil || b == nil {
			return err
		}
		if err := f(id, b); err != nil {
			return err
		}
		at += fullItem + int64(len(b))
	}
}

// next reads the segment that begins at byte at of the file, after count others; nil at
// the end.
func (w *FullBackup) next(at int64, count uint64) (ID, []byte, error) {
	head := make([]byte, fullItem)
	if _, err := io.ReadFull(w.from, head); err != nil || !unsealed(head) {
		return ID{}, nil, cutShort(at, "there is no head of a segment")
	}
	id, n := parseFullItem(head)
	if head[0] == fullEnd && id.Seq == count {
		return id, nil, nil
	}
	if head[0] != fullSegment || n > fullMax || int64(n) > w.from.Size() {
		return id, nil, cutShort(at, fmt.Sprintf("the head of segment %d is not one", count+1))
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(w.from, b); err != nil {
		return id, nil, cutShort(at, "it ends within segment "+id.Name())
	}
	if _, err := Decode(id, b); errors.Is(err, ErrNewer) {
		return id, nil, &BackupError{ErrNewer, at + fullItem, "segment " + id.Name() + " has a later format"}
	} else if err != nil {
		return id, nil, &BackupError{ErrDamaged, at + fullItem, err.Error()}
	}
	return id, b, nil
}

func parseFullItem(b []byte) (id ID, n uint64) {
	le := binary.LittleEndian
	id.Store, id.Seq = StoreID(le.Uint64(b[1:])), le.Uint64(b[13:])
	id.Epoch = kv.Epoch(le.Uint32(b[9:]))
	return id, le.Uint64(b[21:])
}
