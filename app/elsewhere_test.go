package app_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/disk"
	"keywatch/persist/wal"
)

// A shelf is a data folder with values in an object store that is a folder.
type shelf struct {
	t       *testing.T
	config  app.Config
	objects string
}

// newShelf makes one with k/00 to k/19 in object storage. Without own the objects are in
// the data folder.
func newShelf(t *testing.T, own bool) *shelf {
	t.Helper()
	s := &shelf{t: t, config: app.Config{Data: filepath.Join(t.TempDir(), "data"), SegmentSize: 16 << 10}}
	s.objects = filepath.Join(s.config.Data, "objects")
	if own {
		s.objects = filepath.Join(t.TempDir(), "mount")
		s.config.ObjectStore = "dir://" + s.objects
	} else {
		s.config.DiskMax = 1 << 40
	}
	e := openEngine(t, s.config)
	for i := range 20 {
		s.put(e, fmt.Sprintf("k/%02d", i))
	}
	if err := e.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if id, _, err := disk.ReadIdentity(disk.OS, s.config.Data); err != nil || id.Objects != s.config.ObjectStore {
		t.Fatalf("the data folder remembers %q, %v, want %q", id.Objects, err, s.config.ObjectStore)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shelf) put(e *app.Engine, key string) {
	s.t.Helper()
	if _, err := e.Put(s.t.Context(), key, []byte(bulky(key, 1))); err != nil {
		s.t.Fatal(err)
	}
}

// wants reads a key and expects its value, or the error.
func (s *shelf) wants(e *app.Engine, key string, want error) {
	s.t.Helper()
	got, err := e.Get(s.t.Context(), key)
	if !errors.Is(err, want) || err == nil && (got == nil || got.Value() != bulky(key, 1)) {
		s.t.Errorf("%s: got %v, %v, want its value or %v", key, got, err, want)
	}
}

// If the folder below a mount that did not come up passed for the object store, what is
// moved meanwhile would be lost behind the mount, and what is in the store would be called
// damaged.
func TestObjectStoreThatIsAnother(t *testing.T) {
	for _, c := range []struct {
		name string
		// replace puts something else in the place of the store, which is at away.
		replace func(t *testing.T, s *shelf, away string)
		words   string
	}{
		{"not there", func(*testing.T, *shelf, string) {}, "no such file"},
		{"empty", func(t *testing.T, s *shelf, _ string) { must(t, os.Mkdir(s.objects, 0o700)) }, "is another one"},
		{"of another store", func(t *testing.T, s *shelf, _ string) { must(t, os.Rename(newShelf(t, true).objects, s.objects)) }, "is another one"},
		{"of a later release", func(t *testing.T, s *shelf, away string) {
			must(t, os.CopyFS(s.objects, os.DirFS(away)))
			marks, err := filepath.Glob(filepath.Join(s.objects, "*", "store"))
			if err != nil || len(marks) != 1 {
				t.Fatalf("marks: %q, %v", marks, err)
			}
			must(t, os.WriteFile(marks[0], []byte("keywatch object store\nlevel 2\n"), 0o600))
			segments, err := filepath.Glob(filepath.Join(s.objects, "*", "*", "*.seg"))
			must(t, err)
			for _, path := range segments {
				must(t, os.Remove(path)) // to be read by that release only
			}
		}, "later release"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(t, true)
			away := filepath.Join(t.TempDir(), "away")
			must(t, os.Rename(s.objects, away))
			c.replace(t, s, away)
			e := openEngine(t, s.config)
			s.wants(e, "k/03", kv.ErrTierUnavailable)
			s.put(e, "hot")
			s.wants(e, "hot", nil)
			if err := e.Migrate(t.Context()); !errors.Is(err, kv.ErrTierUnavailable) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("Migrate: got %v, want ErrTierUnavailable and %q", err, c.words)
			}
			if _, err := e.FullBackup(t.Context(), new(bytes.Buffer)); !errors.Is(err, kv.ErrTierUnavailable) {
				t.Errorf("FullBackup: got %v, want ErrTierUnavailable", err)
			}
			if o := e.Status().Objects; o.Missing > 0 || o.Waiting == "" {
				t.Errorf("status: %+v, want nothing missing and why it waits", o)
			}
			// The right one is there again, as a mount that comes up late.
			must(t, errors.Join(os.RemoveAll(s.objects), os.Rename(away, s.objects)))
			must(t, e.Migrate(t.Context()))
			s.wants(e, "k/03", nil)
			s.wants(e, "hot", nil)
			must(t, e.Close())
			e = openEngine(t, s.config)
			s.wants(e, "k/04", nil)
			s.wants(e, "hot", nil)
		})
	}
}

// If a start went on without the place where values are, each read of them would fail with
// the operator not told why.
func TestStartWithoutItsObjectStore(t *testing.T) {
	for _, own := range []bool{false, true} {
		s := newShelf(t, own)
		config, words := app.Config{Data: s.config.Data}, []string{s.objects, "is missing", "put the folder back"}
		if own {
			words = []string{s.config.Data, "needs the object store", "--object-store=" + s.config.ObjectStore}
		} else {
			must(t, os.Rename(s.objects, s.objects+".away"))
		}
		_, err := app.Open(t.Context(), config)
		if !errors.Is(err, disk.ErrMissing) {
			t.Errorf("own %v: got %v, want ErrMissing", own, err)
			continue
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("own %v: %v\ndoes not say %q", own, err, word)
			}
		}
		if !own {
			must(t, os.Rename(s.objects+".away", s.objects))
		}
		s.wants(openEngine(t, s.config), "k/03", nil)
	}
}

// A value that is really gone from the right store must be called damaged, and a write
// must put another in its place.
func TestLostSegmentIsDamage(t *testing.T) {
	s := newShelf(t, true)
	removeSegments(t, s.objects)
	e := openEngine(t, s.config)
	s.wants(e, "k/03", kv.ErrDamaged)
	for i := range 20 {
		s.put(e, fmt.Sprintf("k/%02d", i)) // a write needs no value
	}
	must(t, e.Migrate(t.Context()))
	s.wants(e, "k/03", nil)
}

// A store that was used before another one bears the mark too: what is in the other one
// must not be called damaged.
func TestObjectStoreOfBefore(t *testing.T) {
	s := newShelf(t, true)
	e := openEngine(t, s.config)
	for i := range 20 {
		s.put(e, fmt.Sprintf("k/%02d", i))
	}
	must(t, e.Close()) // no key refers to the first store any more
	second := s.config
	second.ObjectStore = "dir://" + filepath.Join(t.TempDir(), "second")
	e = openEngine(t, second)
	must(t, e.Migrate(t.Context()))
	must(t, e.Close())
	e = openEngine(t, s.config)
	s.wants(e, "k/03", kv.ErrTierUnavailable)
	must(t, e.Close())
	s.wants(openEngine(t, second), "k/03", nil)
}

// A first start that ended between Raft's term and its first entry has left a folder in
// which no server is a voter: each later start must not wait for votes for ever.
func TestStartAfterOneCutShort(t *testing.T) {
	dir := t.TempDir()
	db, err := persist.Open(dir, persist.Options{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	must(t, db.Stable().SetHard(wal.Hard{Term: 1}))
	must(t, db.Close(false))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := app.Open(ctx, app.Config{Data: dir, Existing: true})
	if err != nil {
		t.Fatalf("the next start: %v", err)
	}
	must(t, e.Close())
}

// backups returns a plain and a full backup of a shelf.
func (s *shelf) backups() (plain, full []byte) {
	s.t.Helper()
	e := openEngine(s.t, s.config)
	defer e.Close()
	s.put(e, "hot")
	var a, b bytes.Buffer
	_, err := e.Backup(s.t.Context(), &a)
	must(s.t, err)
	_, err = e.FullBackup(s.t.Context(), &b)
	must(s.t, err)
	return a.Bytes(), b.Bytes()
}

// If a backup that cannot be restored left a folder that starts, a script that continues
// would serve an empty store; if the message named a copy of it, or called what is newer or
// something else damaged, an operator would not know what to do.
func TestBackupsThatCannotBeRestored(t *testing.T) {
	plain, full := newShelf(t, true).backups()
	cut := func(b []byte, n int) []byte { return b[:len(b)-n] }
	flip := func(b []byte, text string) []byte {
		return bytes.Replace(b, []byte(text), []byte(string(text[0]^1)+text[1:]), 1)
	}
	at := func(b []byte, text string) string { return fmt.Sprint("byte ", bytes.Index(b, []byte(text))) }
	later := bytes.Clone(full)
	later[15] = 2
	for _, c := range []struct {
		name  string
		file  []byte
		kind  error
		words string
	}{
		{"plain, cut short", cut(plain, 9000), kv.ErrDamaged, "at byte"},
		{"plain, a value changed", bytes.ReplaceAll(plain, []byte("hot=1 "), []byte("hot=2 ")), kv.ErrDamaged, "at byte"},
		{"plain, nothing of it", nil, kv.ErrDamaged, "at byte 0"},
		{"full, cut within a segment", cut(full, 100), kv.ErrDamaged, "at byte"},
		{"full, cut within the checkpoint", full[:9000], kv.ErrDamaged, "at byte 9000"},
		{"full, cut within the head", full[:20], kv.ErrDamaged, "at byte 0"},
		{"full, without its end", cut(full, 33), kv.ErrDamaged, fmt.Sprint("byte ", len(full)-33)},
		{"full, a segment changed", flip(full, "KWseg1\r\n"), kv.ErrDamaged, at(full, "KWseg1\r\n")},
		{"full, of a later release", resummed(later[:28], later), disk.ErrNewer, "format 2"},
		{"something else", bytes.Repeat([]byte("a text\n"), 2000), disk.ErrForeign, "another kind of file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, dir := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "data")
			must(t, os.WriteFile(file, c.file, 0o600))
			_, err := app.Restore(t.Context(), file, dir, app.RestoreOptions{})
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), file+" ") || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v\nwant %v about %s and %q", err, c.kind, file, c.words)
			}
			startsOnlyRestored(t, dir, full)
		})
	}
}

// Damage must be named with its place in the file that the operator has, not in the copy
// of the checkpoint that a full backup holds.
func TestDamageIsNamedWithItsPlace(t *testing.T) {
	plain, full := newShelf(t, true).backups()
	for name, b := range map[string][]byte{"plain": plain, "full": full} {
		text := []byte(bulky("hot", 1))
		file := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(file, bytes.ReplaceAll(b, text, append([]byte("x"), text[1:]...)), 0o600))
		_, err := app.Restore(t.Context(), file, filepath.Join(t.TempDir(), "data"), app.RestoreOptions{})
		d, ok := errors.AsType[*disk.DamageError](err)
		if !ok || d.File != file || d.Offset < 0 {
			t.Errorf("%s: got %v, want a DamageError for %s with an offset", name, err, file)
			continue
		}
		// The record begins with the key and some numbers.
		if near := bytes.Index(b[d.Offset:], text); near < 0 || near > 100 {
			t.Errorf("%s: %v\nthe value begins %d bytes after that", name, err, near)
		}
	}
}

// startsOnlyRestored checks that no server starts on a folder into which a restore has
// failed, until one has succeeded.
func startsOnlyRestored(t *testing.T, dir string, full []byte) {
	t.Helper()
	_, err := app.Open(t.Context(), app.Config{Data: dir})
	if !errors.Is(err, persist.ErrRestoring) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a start on the folder: got %v, want ErrRestoring", err)
	}
	file := filepath.Join(t.TempDir(), "good")
	must(t, os.WriteFile(file, full, 0o600))
	_, err = app.Restore(t.Context(), file, dir, app.RestoreOptions{})
	must(t, err)
	e := openEngine(t, app.Config{Data: dir})
	defer e.Close()
	for _, key := range []string{"hot", "k/03"} {
		if got, err := e.Get(t.Context(), key); err != nil || got == nil || got.Value() != bulky(key, 1) {
			t.Errorf("%s after a restore: %v, %v", key, got, err)
		}
	}
}

// A restore that is refused for its flags, given up, or of which the object store is away
// must leave no folder that starts either.
func TestRestoreThatDoesNotSucceed(t *testing.T) {
	plain, full := newShelf(t, true).backups()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	blocked := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(blocked, nil, 0o600))
	for _, c := range []struct {
		name    string
		ctx     context.Context
		file    []byte
		objects string
	}{
		{"a place for objects that it has not", t.Context(), plain, "dir://" + t.TempDir()},
		{"given up", gone, full, ""},
		{"an object store that cannot be made", t.Context(), full, "dir://" + blocked + "/x"},
		{"a bad object store", t.Context(), full, "ftp://x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, dir := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "data")
			must(t, os.WriteFile(file, c.file, 0o600))
			if _, err := app.Restore(c.ctx, file, dir, app.RestoreOptions{ObjectStore: c.objects}); err == nil {
				t.Fatal("it was restored")
			}
			startsOnlyRestored(t, dir, full)
		})
	}
}

// resummed returns all with its first bytes, which head ends with the checksum of, made
// whole again.
func resummed(head, all []byte) []byte {
	end := len(head) - 4
	sum := crc32.Checksum(head[:end], crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(all[end:], sum)
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
