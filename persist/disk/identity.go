package disk

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// Level is the newest format of a data folder that this release can read, and the
// one that it writes. A release that writes anything that this one would misread
// raises it first.
const Level = 2

// StoreFile is the file in a data folder that says whose the folder is.
const StoreFile = "store"

// storeHead is the first line of it.
const storeHead = "keywatch store"

// A StoreID names a store: its data folder, all files in it, its backups and what
// it keeps in object storage. It is drawn at random when a store begins and by
// each restore; 0 is none.
type StoreID uint64

// String returns 16 hexadecimal digits.
func (s StoreID) String() string { return fmt.Sprintf("%016x", uint64(s)) }

// ParseStoreID reads what String wrote.
func ParseStoreID(text string) (StoreID, bool) {
	n, err := strconv.ParseUint(text, 16, 64)
	return StoreID(n), err == nil && len(text) == 16 && n != 0
}

// NewStoreID draws a store's id.
func NewStoreID() StoreID {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return StoreID(binary.LittleEndian.Uint64(b[:]) | 1)
}

// An Identity is what the store file says: lines of a name and a value, and the
// checksum of all of them. Names that this release does not know are kept.
type Identity struct {
	// Level is the format of the folder.
	Level int
	// Store is whose the folder is.
	Store StoreID
	// Release is the version of keywatch that gave the folder its level; it may be
	// empty.
	Release string
	// Objects is the URL of the object store in which values are; empty if none is.
	Objects string

	more []string // lines that are not known
}

// ReadIdentity returns what the folder's store file says. ok is false if there is no
// such file: the folder is new, or an earlier release wrote it. A level above Level
// is an error that matches ErrNewer, and a file that is not whole a *DamageError.
func ReadIdentity(fsys FS, dir string) (id Identity, ok bool, err error) {
	path := filepath.Join(dir, StoreFile)
	b, err := ReadFile(fsys, path, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, false, nil
	}
	if err != nil {
		return Identity{}, false, fmt.Errorf("read store file: %w", err)
	}
	if id, ok = parseIdentity(b); !ok {
		return Identity{}, false, &DamageError{
			File: path, Offset: Unknown, Reason: "it is not what was written",
			Remedy: "it holds no keys: move it away, and the next start writes it again from the files beside it; or restore a backup into another folder",
		}
	}
	if id.Level > Level {
		by := ""
		if id.Release != "" {
			by = " (keywatch " + id.Release + ")"
		}
		return Identity{}, false, Newer(dir, fmt.Sprintf("format %d%s", id.Level, by), fmt.Sprintf("format %d", Level))
	}
	return id, true, nil
}

// Write replaces the folder's store file, durably.
func (id *Identity) Write(fsys FS, dir string) error {
	if err := WriteFile(fsys, filepath.Join(dir, StoreFile), id.encode()); err != nil {
		return fmt.Errorf("write store file: %w", err)
	}
	return nil
}

// encode returns the file's content.
func (id *Identity) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nlevel %d\nid %s\n", storeHead, id.Level, id.Store)
	for _, line := range [][2]string{{"release", id.Release}, {"objects", id.Objects}} {
		if line[1] != "" {
			fmt.Fprintf(&b, "%s %s\n", line[0], strings.ReplaceAll(line[1], "\n", " "))
		}
	}
	for _, line := range id.more {
		fmt.Fprintln(&b, line)
	}
	return AppendSum(b.Bytes())
}

// parseIdentity reads what encode wrote.
func parseIdentity(b []byte) (id Identity, ok bool) {
	lines, whole := SummedLines(b)
	if !whole || lines[0] != storeHead {
		return id, false
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, " ")
		switch name {
		case "level":
			id.Level, _ = strconv.Atoi(value)
		case "id":
			id.Store, _ = ParseStoreID(value)
		case "release":
			id.Release = value
		case "objects":
			id.Objects = value
		default:
			id.more = append(id.more, line)
		}
	}
	return id, id.Level > 0 && id.Store != 0
}
