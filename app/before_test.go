package app_test

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/wal"
	"keywatch/test/gate"
)

// unpack writes what the release before left: testdata/before.tar.bz2 was made with the
// release that knew no store file. Its folders hold k/05 to k/39, killed also k/40 to
// k/54, some of them in object storage.
func unpack(t *testing.T) (dir string) {
	t.Helper()
	f, err := os.Open("testdata/before.tar.bz2")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir = t.TempDir()
	for r := tar.NewReader(bzip2.NewReader(f)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(path, 0o700)
		} else {
			err = writeSparse(path, r, h.Size)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// writeSparse writes a file and leaves out what is zero.
func writeSparse(path string, r io.Reader, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	for off := int64(0); off < size; {
		n, err := io.ReadFull(r, b[:min(int64(len(b)), size-off)])
		if err != nil {
			return err
		}
		if !bytes.Equal(b[:n], zero[:n]) {
			if _, err := f.WriteAt(b[:n], off); err != nil {
				return err
			}
		}
		off += int64(n)
	}
	return f.Truncate(size)
}

// holdsKeys checks that an engine has k/05 to before k/end, and nothing else.
func holdsKeys(t *testing.T, e *app.Engine, end int) {
	t.Helper()
	for i := range end {
		got, err := e.Get(t.Context(), fmt.Sprintf("k/%02d", i))
		want := fmt.Sprintf("value %d %s", i, strings.Repeat("v", 100))
		if err != nil || (got != nil) != (i >= 5) || got != nil && got.Value() != want {
			t.Fatalf("k/%02d: got %v, %v, want %q from 5 on", i, got, err, want)
		}
	}
	n := 0
	for _, err := range e.List(t.Context(), "") {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != end-5 {
		t.Errorf("there are %d keys, want %d", n, end-5)
	}
}

// If a folder or a backup of the release before did not open as it is, an upgrade would
// lose it.
func TestReleaseBeforeOpens(t *testing.T) {
	dir := unpack(t)
	for _, name := range []string{"plain.backup", "full.backup"} {
		_, err := app.Restore(t.Context(), filepath.Join(dir, name), filepath.Join(dir, name+".restored"), app.RestoreOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, c := range []struct {
		folder string
		end    int
	}{{"killed", 55}, {"stopped", 40}, {"young", 40}, {"restored", 40}, {"plain.backup.restored", 40}, {"full.backup.restored", 50}} {
		t.Run(c.folder, func(t *testing.T) {
			config := app.Config{Data: filepath.Join(dir, c.folder)}
			var was kv.Position
			var store string
			for i := range 2 { // the second start has a folder that names its store
				e := openEngine(t, config)
				holdsKeys(t, e, c.end)
				if i > 0 && (e.Position() != was || e.Status().Store != store) || e.Status().Store == "" {
					t.Errorf("store %s is at %s, and store %s was at %s", e.Status().Store, e.Position(), store, was)
				}
				was, store = e.Position(), e.Status().Store
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// While a store has one server the release before must find what it looks for: who the server
// is, in the log's first entry and in the checkpoint, kinds of entries that it knows, and its own
// keys of term and vote. (That it opens such folders was tried with the program itself.)
func TestFolderIsOfTheReleaseBefore(t *testing.T) {
	data, young, older := t.TempDir(), t.TempDir(), t.TempDir()
	e := openEngine(t, app.Config{Data: data})
	for i := range 3 {
		if _, err := e.Put(t.Context(), fmt.Sprint("k", i), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	copyLive(t, data, young)
	if err := e.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	copyLive(t, data, older)
	db, err := persist.Open(young, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(false)
	last, err := db.Log().LastIndex()
	if err != nil || last < 4 {
		t.Fatalf("the log ends at %d, %v, want all entries", last, err)
	}
	for i := uint64(1); i <= last; i++ {
		var entry wal.Entry
		if err := db.Log().Read(i, &entry); err != nil {
			t.Fatal(err)
		}
		switch {
		case i == 1 && entry.Type == wal.Configuration && string(entry.Data) == wal.SoleMembers:
		case i == 1, entry.Type != wal.Command && entry.Type != wal.Noop, (entry.Type == wal.Noop) != (len(entry.Data) == 0):
			t.Errorf("entry %d is %+v, which the release before does not expect", i, entry)
		}
	}
	for key, want := range map[string]string{
		"CurrentTerm": "\x00\x00\x00\x00\x00\x00\x00\x02", "LastVoteTerm": "\x00\x00\x00\x00\x00\x00\x00\x02", "LastVoteCand": "keywatch-1",
	} {
		if got, err := db.Stable().Get([]byte(key)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v, want %q", key, got, err, want)
		}
	}
	file, err := os.ReadFile(filepath.Join(older, "checkpoint.db"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(file, []byte(wal.SoleMembers)) {
		t.Error("the checkpoint does not say who the server is")
	}
}

// copyLive copies the folder of an engine without writers. The log prepares files and gives
// them up meanwhile: then it begins again.
func copyLive(t *testing.T, from, to string) {
	t.Helper()
	gate.Until(t, func() bool {
		return errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))) == nil
	}, "the folder was copied while no file came or went")
}
