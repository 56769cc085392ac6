package persist_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/persist"
	"keywatch/persist/disk"
	"keywatch/persist/wal"
)

const (
	checkpointFile = persist.CheckpointName
	logFiles       = "log-*.seg"
	stableFile     = wal.StableName
	storeFile      = disk.StoreFile
	legacyFile     = "store-id"
)

// treeOf returns the content of all files below dir but the lock, by path.
func treeOf(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "lock" {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		files[rel], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A stage is a data folder at one moment of a store's life, and what was acknowledged by
// then.
type stage struct {
	files map[string][]byte
	want  []string
}

// A life is a store on real files, of which stages are kept.
type life struct {
	*rig
	writes int
}

// beginLife begins a store as the cluster does: the first entry, then a vote.
func beginLife(t *testing.T, dir string) *life {
	l := &life{rig: &rig{t: t, dir: dir, opts: persist.Hooked(tight, nil, nil), time: 1000}}
	l.open()
	t.Cleanup(func() { l.db.Close(false) })
	l.write(1)
	if err := l.db.Stable().SetHard(wal.Hard{Term: 1, Vote: wal.SoleID}); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *life) write(n int) {
	for range n {
		l.writes++
		l.do(put(fmt.Sprintf("key/%d", l.writes), strings.Repeat("v", 100), 0))
	}
}

// checkpoint makes one and lets go of the log before it, as the cluster does.
func (l *life) checkpoint() {
	l.mustCheckpoint()
	l.trimLog()
}

// now returns the folder as a crash would leave it at this moment.
func (l *life) now() stage { return stage{treeOf(l.t, l.dir), dump(l.t, l.state, false)} }

// stages are those of two stores that did the same at the same time, and of one that
// kept its log.
type stages struct{ young, emptied, early, late, stopped, other, keptEarly, keptLate stage }

func makeStages(t *testing.T) (s stages) {
	l := beginLife(t, t.TempDir())
	l.write(5)
	s.young = l.now() // no checkpoint yet
	l.checkpoint()
	s.emptied = l.now()
	l.write(5)
	s.early = l.now()
	l.checkpoint()
	l.write(5)
	s.late = l.now()
	l.checkpoint()
	s.stopped.want = dump(t, l.state, false)
	if err := l.db.Close(true); err != nil {
		t.Fatal(err)
	}
	s.stopped.files = treeOf(t, l.dir)

	o := beginLife(t, t.TempDir())
	for range 2 {
		o.write(5)
		o.checkpoint()
	}
	o.write(5)
	s.other = o.now()

	k := beginLife(t, t.TempDir())
	k.mustCheckpoint()
	s.keptEarly = k.now()
	k.write(5)
	k.mustCheckpoint()
	k.write(1)
	s.keptLate = k.now()
	return s
}

// with returns a stage with files of another in place of its own.
func (s stage) with(other stage, names ...string) stage {
	s = s.without(names...)
	for name, b := range other.files {
		if matches(name, names) {
			s.files[name] = b
		}
	}
	return s
}

// without returns a stage without some of its files.
func (s stage) without(names ...string) stage {
	next := stage{make(map[string][]byte), s.want}
	for name, b := range s.files {
		if !matches(name, names) {
			next.files[name] = b
		}
	}
	return next
}

// changed returns a stage in which the content of a file is another.
func (s stage) changed(name string, change func([]byte) []byte) stage {
	return s.with(stage{files: map[string][]byte{name: change(bytes.Clone(s.files[name]))}}, name)
}

func matches(name string, patterns []string) bool {
	for _, p := range patterns {
		if ok, _ := filepath.Match(p, name); ok {
			return true
		}
	}
	return false
}

func (s stage) write(t *testing.T, dir string) {
	t.Helper()
	for name, b := range s.files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

var (
	legacyIDFile = stage{files: map[string][]byte{legacyFile: []byte("00000000000000ab\n")}}
	segmentsOnly = stage{files: map[string][]byte{filepath.Join("objects", "00000000000000ab", "00000001", "01.seg"): []byte("x")}}
)

// laterLevel makes a store file that of a later release, whatever it held.
func laterLevel([]byte) []byte {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	id := disk.Identity{Level: disk.Level + 1, Store: 7, Release: "9.9"}
	if err := id.Write(disk.OS, dir); err != nil {
		panic(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err != nil {
		panic(err)
	}
	return b
}

// always returns a change that puts other content in the place of what is there.
func always(b []byte) func([]byte) []byte { return func([]byte) []byte { return b } }

// flipped returns a change that turns a bit of some text, wherever it stands.
func flipped(text string) func([]byte) []byte {
	return func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte(text), []byte(string(text[0]^1)+text[1:]))
	}
}

// unsigned takes the store's id out of a stable store.
func unsigned(b []byte) []byte {
	values := persist.DecodeStable(b)
	delete(values, "Store")
	return persist.EncodeStable(values)
}

// unstamped takes the store's id out of the log.
func (s stage) unstamped() stage {
	for name := range s.files {
		if ok, _ := filepath.Match(logFiles, name); ok {
			s = s.changed(name, func(b []byte) []byte { clear(b[32:44]); return b })
		}
	}
	return s
}

// emptyLog is a log in which nothing was ever written.
func emptyLog(t *testing.T) stage {
	dir := t.TempDir()
	l, err := wal.Open(dir, wal.Options{SegmentSize: 64 << 10})
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return stage{files: treeOf(t, dir)}
}

// bootstrapping is what a first start leaves that ends before its first entry.
func bootstrapping(t *testing.T) stage {
	l := &life{rig: &rig{t: t, dir: t.TempDir(), opts: persist.Hooked(tight, nil, nil), time: 1000}}
	l.open()
	defer l.db.Close(false)
	if err := l.db.Stable().SetHard(wal.Hard{Term: 1}); err != nil {
		t.Fatal(err)
	}
	return l.now().without(storeFile)
}

// restoring is a folder into which a restore has not succeeded.
func restoring(s stage) stage {
	next := stage{make(map[string][]byte), nil}
	for name, b := range s.files {
		next.files[filepath.Join(persist.RestoringName, name)] = b
	}
	return next
}
