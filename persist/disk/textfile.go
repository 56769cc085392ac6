package disk

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendSum appends to lines of text one more with their checksum.
func AppendSum(b []byte) []byte {
	return fmt.Appendf(b, "sum %08x\n", crc32.Checksum(b, castagnoli))
}

// SummedLines returns the lines before the one that AppendSum has appended, at least one, and reports
// whether they are what was written.
func SummedLines(b []byte) (lines []string, whole bool) {
	end := bytes.LastIndexByte(bytes.TrimSuffix(b, []byte("\n")), '\n') + 1
	if !bytes.Equal(b, AppendSum(bytes.Clone(b[:end]))) {
		return nil, false
	}
	return strings.Split(strings.TrimSuffix(string(b[:end]), "\n"), "\n"), true
}

// ReadFile returns a file's content, which must not be longer than most bytes.
func ReadFile(fsys FS, path string, most int64) ([]byte, error) {
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil || n == 0 {
		return nil, err
	}
	b := make([]byte, min(n, most+1))
	_, err = f.ReadAt(b, 0)
	return b, err
}

// WriteFile replaces a small file as a whole, durably.
func WriteFile(fsys FS, path string, b []byte) error {
	temp := path + ".tmp"
	f, err := fsys.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsys.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	return fsys.SyncDir(filepath.Dir(path))
}
