package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"keywatch/persist/disk"
)

// StableRemedy is the advice for a stable store that cannot be used. It holds a term
// and a vote only: while a server is the only voter, those of its log will do.
const StableRemedy = "it holds no keys: move it away, and the next start writes it again, " +
	"because this store has no other server; or restore a backup into another folder"

// StableName is the name of a stable store's file.
const StableName = "stable"

const (
	stableTemp  = "stable.tmp"
	stableMagic = "KWSTBv01" // the digits are the format
	stableKind  = "KWSTBv"
	maxStable   = 16 << 20 // bytes; some hundred are used
	// stableSpare is the length of a spare file: less than any content has, so that
	// writing over it leaves nothing of it.
	stableSpare = 8
)

// errNotFound is returned by Get for a key that was never set.
var errNotFound = errors.New("not found")

// StableOptions configures a Stable; the zero value is the default.
type StableOptions struct {
	// FS is the file system; nil means disk.OS.
	FS disk.FS
	// Fatal is called, with the error, when a write or an fsync has failed; the
	// store has refused every write since. nil does nothing.
	Fatal func(error)
}

// A Stable keeps Raft's term and vote in one small file that is replaced as a
// whole, durably, at each change. It is safe for concurrent use. It holds no file
// open and has no Close.
type Stable struct {
	dir  string
	opts StableOptions

	mu struct {
		sync.Mutex
		values map[string][]byte
		err    error // stopped the store
	}
}

// OpenStable reads the stable store in dir; a missing file is an empty store. It
// returns a *disk.DamageError if the file is not whole.
func OpenStable(dir string, opts StableOptions) (*Stable, error) {
	if opts.FS == nil {
		opts.FS = disk.OS
	}
	s := &Stable{dir: dir, opts: opts}
	s.mu.values = make(map[string][]byte)
	if err := opts.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open stable store: %w", err)
	}
	path := filepath.Join(dir, StableName)
	b, err := disk.ReadFile(opts.FS, path, maxStable)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open stable store: %w", err)
	}
	err = decodeStable(b, s.mu.values)
	if later, ok := errors.AsType[laterFormat](err); ok {
		return nil, fmt.Errorf("open stable store: %w", disk.Newer(path, "format "+string(later), "01"))
	}
	if err != nil {
		return nil, fmt.Errorf("open stable store: %w",
			&disk.DamageError{File: path, Offset: disk.Unknown, Reason: err.Error(), Remedy: StableRemedy})
	}
	return s, nil
}

// Get returns a copy of a key's value, or an error if there is none.
func (s *Stable) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.mu.values[string(key)]
	if !ok {
		return nil, errNotFound
	}
	return slices.Clone(v), nil
}

// Set sets a key, durably. After an error the store refuses every change with it:
// whether the new value is on disk is unknown.
func (s *Stable) Set(key, value []byte) error {
	return s.change(map[string][]byte{string(key): slices.Clone(value)})
}

// change sets keys, all or none, durably.
func (s *Stable) change(values map[string][]byte) error {
	first, err := s.set(values)
	if first && s.opts.Fatal != nil {
		s.opts.Fatal(err)
	}
	return err
}

// set is change; first is true for the error that stopped the store.
func (s *Stable) set(values map[string][]byte) (first bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.err != nil {
		return false, s.mu.err
	}
	next := maps.Clone(s.mu.values)
	maps.Copy(next, values)
	if err := s.write(encodeStable(next)); err != nil {
		s.mu.err = fmt.Errorf("write stable store: %w", err)
		return true, s.mu.err
	}
	s.mu.values = next
	return false, nil
}

// write replaces the file. Then it keeps a block of the disk for the next time,
// which may be a start on a full disk.
func (s *Stable) write(b []byte) error {
	fsys, temp := s.opts.FS, filepath.Join(s.dir, stableTemp)
	err := s.fillTemp(b)
	if err == nil {
		err = fsys.Rename(temp, filepath.Join(s.dir, StableName))
	}
	if err == nil {
		err = fsys.SyncDir(s.dir)
	}
	if err == nil && s.fillTemp(make([]byte, stableSpare)) != nil {
		fsys.Remove(temp) // only what is whole counts as a spare
	}
	return err
}

// fillTemp writes the temporary file, over a spare if there is one.
func (s *Stable) fillTemp(b []byte) error {
	temp := filepath.Join(s.dir, stableTemp)
	f, err := s.opts.FS.OpenFile(temp, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if n, serr := f.Size(); serr != nil || n > stableSpare {
		f.Close()
		if f, err = s.opts.FS.OpenFile(temp, os.O_RDWR|os.O_TRUNC, 0o600); err != nil {
			return err
		}
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// encodeStable returns the file's content: magic, then for each key its length,
// itself, the value's length and the value, then CRC32C of all; numbers are
// uint32, big endian.
func encodeStable(values map[string][]byte) []byte {
	b := []byte(stableMagic)
	for _, k := range slices.Sorted(maps.Keys(values)) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(k)))
		b = append(b, k...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(values[k])))
		b = append(b, values[k]...)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// A laterFormat is the format of a stable store that a later release wrote.
type laterFormat string

func (f laterFormat) Error() string { return "it has format " + string(f) }

// decodeStable reads a file's content into values. The checksum is where it is in
// every format.
func decodeStable(b []byte, values map[string][]byte) error {
	end, head := len(b)-4, len(stableMagic)
	if end < head || len(b) > maxStable {
		return errors.New("it is not a stable store")
	}
	if crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return errChecksum
	}
	if magic := string(b[:head]); magic != stableMagic {
		if format, ok := strings.CutPrefix(magic, stableKind); ok {
			return laterFormat(format)
		}
		return errors.New("it is not a stable store")
	}
	for b = b[head:end]; len(b) > 0; {
		key, rest, ok := cutField(b)
		value, rest, ok2 := cutField(rest)
		if !ok || !ok2 {
			return errors.New("a field is longer than the file")
		}
		values[string(key)] = slices.Clone(value)
		b = rest
	}
	return nil
}

// cutField splits off a field that its length precedes.
func cutField(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if n > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}
