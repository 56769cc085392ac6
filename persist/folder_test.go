package persist_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
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
	for _, key := range []string{"CurrentTerm", "LastVoteTerm"} {
		if err := l.db.Stable().SetUint64([]byte(key), 1); err != nil {
			t.Fatal(err)
		}
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

const (
	checkpointFile = persist.CheckpointName
	logFiles       = "log-*.seg"
	stableFile     = wal.StableName
	storeFile      = disk.StoreFile
	legacyFile     = "store-id"
)

// A combination is a folder whose files do not all belong together, and what is to be
// said of it. Without a kind it opens and has everything.
type combination struct {
	name  string
	files stage
	kind  error    // what the error matches
	words []string // what it says beside
}

func combinations(t *testing.T) []combination {
	s := makeStages(t)
	old := func(s stage) stage { // as the release before left it
		return s.changed(checkpointFile, persist.Unlinked).changed(stableFile, unsigned).without(storeFile).unstamped()
	}
	putBack, restore, lacks := "put the right file back", "keywatch restore FILE --data NEWDIR", "it lacks only what was written after the last checkpoint"
	return []combination{
		{"a store without a checkpoint yet", s.young, nil, nil},
		{"a store that was killed", s.late, nil, nil},
		{"a store that was stopped", s.stopped, nil, nil},
		{"a store of the release before", old(s.late), nil, nil},
		{"the same, stopped", old(s.stopped), nil, nil},
		{"the same, without a checkpoint yet", old(s.young), nil, nil},
		{"the same, with an id", old(s.late).with(legacyIDFile, legacyFile), nil, nil},

		{"log missing", s.late.without(logFiles), disk.ErrMissing, []string{logFiles, putBack, restore, lacks}},
		{"log missing after a stop", s.stopped.without(logFiles), disk.ErrMissing, []string{logFiles, lacks}},
		{"log missing before the first checkpoint", s.young.without(logFiles), disk.ErrMissing, []string{logFiles, putBack, restore}},
		{"log missing, release before", old(s.late).without(logFiles), disk.ErrMissing, []string{logFiles, lacks}},
		{"log missing before the first checkpoint, release before", old(s.young).without(logFiles), disk.ErrMissing, []string{logFiles, putBack}},
		{"log and stable store missing", s.late.without(logFiles, stableFile), disk.ErrMissing, []string{logFiles, lacks}},
		{"nothing but the checkpoint", s.late.without(logFiles, stableFile, storeFile), disk.ErrMissing, []string{logFiles, lacks}},
		{"log new and empty, release before", old(s.late).with(emptyLog(t), logFiles), disk.ErrMissing, []string{logFiles, "new and empty", lacks}},
		{"log new and empty before the first checkpoint", old(s.young).with(emptyLog(t), logFiles), disk.ErrMissing, []string{logFiles, "new and empty"}},
		{"log old", s.late.with(s.young, logFiles), disk.ErrOutdated, []string{logFiles, "ends at index 6", "reaches to 11", putBack}},
		{"log old and emptied", s.stopped.with(s.emptied, logFiles), disk.ErrOutdated, []string{logFiles, "groups", putBack}},
		{"log foreign", s.late.with(s.other, logFiles), disk.ErrForeign, []string{"log-00000001.seg", "belongs to store", putBack}},
		{"log newer", s.late.changed("log-00000001.seg", persist.LaterSegment), disk.ErrNewer, []string{"log-00000001.seg", "later release", "nothing was changed"}},

		{"checkpoint missing", s.late.without(checkpointFile), disk.ErrMissing, []string{checkpointFile, putBack, restore}},
		{"checkpoint missing after a stop", s.stopped.without(checkpointFile), disk.ErrMissing, []string{checkpointFile, putBack}},
		{"checkpoint missing, release before", old(s.stopped).without(checkpointFile), disk.ErrMissing, []string{checkpointFile, putBack}},
		{"checkpoint missing, and the log has everything", s.young.without(checkpointFile), nil, nil},
		{"checkpoint and log missing", s.late.without(checkpointFile, logFiles), disk.ErrMissing, []string{checkpointFile, "log-*.seg", putBack}},
		{"nothing but the stable store", s.late.without(checkpointFile, logFiles, storeFile), disk.ErrMissing, []string{checkpointFile, "log-*.seg"}},
		{"nothing but the store file", s.late.without(checkpointFile, logFiles, stableFile), disk.ErrMissing, []string{checkpointFile, "log-*.seg"}},
		{"nothing but segments of values", segmentsOnly, disk.ErrMissing, []string{checkpointFile, "objects"}},
		{"nothing but the id of the release before", legacyIDFile, disk.ErrMissing, []string{checkpointFile, legacyFile}},
		{"checkpoint old", s.late.with(s.young, checkpointFile), disk.ErrOutdated, []string{checkpointFile, "reaches to log index 0", "begins at 12", putBack}},
		{"checkpoint old, log emptied", s.stopped.with(s.early, checkpointFile), disk.ErrOutdated, []string{checkpointFile, "reaches to log index 6", "begins at 17"}},
		{"checkpoint old, and the log has the rest", s.keptLate.with(s.keptEarly, checkpointFile), nil, nil},
		{"checkpoint foreign", s.late.with(s.other, checkpointFile), disk.ErrForeign, []string{checkpointFile, "belongs to store", putBack}},
		{"checkpoint foreign, no store file", s.late.with(s.other, checkpointFile).without(storeFile), disk.ErrForeign, []string{checkpointFile, "the log beside it"}},
		{"checkpoint of another program", s.late.changed(checkpointFile, func([]byte) []byte { return persist.OtherBolt() }), disk.ErrForeign, []string{checkpointFile, "another program"}},
		{"another kind of file for a checkpoint", s.late.changed(checkpointFile, func([]byte) []byte { return bytes.Repeat([]byte("text\n"), 4000) }), disk.ErrForeign, []string{checkpointFile, "another kind of file"}},
		{"a full backup for a checkpoint", s.late.changed(checkpointFile, func([]byte) []byte { return []byte("\x89keywatch whole\x01" + strings.Repeat("x", 9000)) }), disk.ErrForeign, []string{checkpointFile, "full backup", "restore"}},
		{"checkpoint newer", s.late.changed(checkpointFile, persist.LaterHeader), disk.ErrNewer, []string{checkpointFile, "format 99", "nothing was changed"}},
		{"checkpoint with newer records", s.late.changed(checkpointFile, persist.LaterMeta), disk.ErrNewer, []string{checkpointFile, "version 99", "nothing was changed"}},
		{"checkpoint damaged", s.stopped.changed(checkpointFile, flipped("key/3")), kv.ErrDamaged, []string{checkpointFile, "at byte", "keep this folder"}},
		{"checkpoint cut short", s.late.changed(checkpointFile, func(b []byte) []byte { return b[:3*4096] }), kv.ErrDamaged, []string{checkpointFile, "at byte", "keep this folder"}},

		{"stable store missing", s.late.without(stableFile), nil, nil},
		{"stable store old", s.late.changed(stableFile, func([]byte) []byte { return persist.EncodeStable(nil) }), nil, nil},
		{"stable store foreign", s.late.with(s.other, stableFile), disk.ErrForeign, []string{stableFile, "belongs to store", "holds no keys"}},
		{"stable store newer", s.late.changed(stableFile, persist.LaterStable), disk.ErrNewer, []string{stableFile, "nothing was changed"}},
		{"stable store damaged", s.late.changed(stableFile, flipped("Term")), kv.ErrDamaged, []string{stableFile, "holds no keys"}},
		{"a first start that was cut short while it bootstrapped", bootstrapping(t), nil, nil},

		{"store file missing", s.late.without(storeFile), nil, nil},
		{"store file foreign", s.late.with(s.other, storeFile), disk.ErrForeign, []string{checkpointFile, "belongs to store"}},
		{"store file damaged", s.late.changed(storeFile, flipped("level")), kv.ErrDamaged, []string{storeFile, "holds no keys"}},
		{"folder newer", s.late.changed(storeFile, laterLevel), disk.ErrNewer, []string{"format 3 (keywatch 9.9)", "format 2", "nothing was changed"}},
		{"id of the release before damaged", old(s.late).with(legacyIDFile, legacyFile).changed(legacyFile, func([]byte) []byte { return []byte("zzz\n") }), kv.ErrDamaged, []string{legacyFile, "holds no keys"}},

		{"clean-stop mark missing", s.stopped.without(string(disk.CleanStop)), nil, nil},
		{"a restore that did not succeed", restoring(s.late), persist.ErrRestoring, []string{"keywatch restore", persist.RestoringName}},
	}
}

// If this failed, a folder whose files do not belong together would be served, would hang,
// or would be thrown away on bad advice.
func TestCombinationsOfFiles(t *testing.T) {
	for _, c := range combinations(t) {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.files.write(t, dir)
			r := &rig{t: t, dir: dir, opts: persist.Hooked(tight, nil, nil), time: 1000}
			err := r.tryOpen()
			if c.kind == nil {
				c.opened(t, r, err)
				return
			}
			if err == nil {
				r.db.Close(false)
				t.Fatalf("it opened, want %v", c.kind)
			}
			if !errors.Is(err, c.kind) {
				t.Errorf("got %v, want %v", err, c.kind)
			}
			for _, word := range append(c.words, dir) {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%v\ndoes not say %q", err, word)
				}
			}
			if strings.Contains(err.Error(), "empty its folder") {
				t.Errorf("%v\nadvises to give data up", err)
			}
			c.unchanged(t, dir)
		})
	}
}

// unchanged checks that a refused start left every file as it was.
func (c *combination) unchanged(t *testing.T, dir string) {
	t.Helper()
	got := treeOf(t, dir)
	for name, want := range c.files.files {
		if !bytes.Equal(got[name], want) {
			t.Errorf("%s was changed by a start that was refused", name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s was made by a start that was refused", name)
	}
}

// opened checks that a folder has everything, now and after a further start, and that all
// its files name the store then.
func (c *combination) opened(t *testing.T, r *rig, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got %v, want it to open", err)
	}
	defer func() { r.db.Close(false) }()
	equal(t, "opened", dump(t, r.state, false), c.files.want)
	store := r.db.Store()
	r.do(put("more", "v", 0))
	want := dump(t, r.state, false)
	r.mustCheckpoint()
	r.reopen()
	equal(t, "opened again", dump(t, r.state, false), want)
	if r.db.Store() != store || store == 0 {
		t.Errorf("the store is %s after the second start, and was %s", r.db.Store(), store)
	}
	if id, ok, err := disk.ReadIdentity(disk.OS, r.dir); err != nil || !ok || id.Store != store || id.Level != disk.Level {
		t.Errorf("store file: got %+v, %v, %v, want store %s and level %d", id, ok, err, store, disk.Level)
	}
	if found, err := wal.Survey(disk.OS, r.dir); err != nil || found.Store != 0 && found.Store != store {
		t.Errorf("log: got %+v, %v, want store %s", found, err, store)
	}
	if term, err := r.db.Stable().GetUint64([]byte("CurrentTerm")); len(c.files.want) > 1 && (term < 1 || err != nil) {
		t.Errorf("the term is %d, %v, want 1", term, err)
	}
}

// If a first start that is cut short left a folder that the next one refuses, a server
// would have to be begun by hand.
func TestFirstStartCutShort(t *testing.T) {
	for _, before := range []bool{false, true} { // a new folder, and one of the release before
		for _, loss := range []faultfs.Loss{faultfs.DropAll, faultfs.DropSome, faultfs.DropNone} {
			at := 1
			for ; firstStart(t, before, loss, at); at++ {
			}
			if at < 4 {
				t.Errorf("the power was cut in %d operations only: the test proves little", at)
			}
		}
	}
}

// firstStart cuts the power in an operation of a first start, and starts again. It returns
// false once the start ends before the cut.
func firstStart(t *testing.T, before bool, loss faultfs.Loss, at int) bool {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), opts: quick(), fs: faultfs.New(uint64(at)), time: 1000}
	var want []string
	if before {
		r.open()
		r.do(put("k", "v", 0))
		r.mustCheckpoint()
		want = dump(t, r.state, false)
		if err := r.db.Close(true); err != nil {
			t.Fatal(err)
		}
		r.forget()
	}
	r.fs.CutAt(at)
	cut := r.tryOpen()
	if cut == nil {
		r.db.Close(false)
	} else if !errors.Is(cut, faultfs.ErrPowerCut) {
		t.Fatalf("cut at %d: %v", at, cut)
	}
	r.fs = r.fs.Crash(loss)
	if err := r.tryOpen(); err != nil {
		t.Fatalf("before %v, loss %d, cut at %d: the next start: %v", before, loss, at, err)
	}
	defer r.db.Close(false)
	if before {
		equal(t, "after the cut", dump(t, r.state, false), want)
	}
	return cut != nil
}

// forget makes the folder one of the release before, which names no store.
func (r *rig) forget() {
	path := filepath.Join(r.dir, checkpointFile)
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, persist.Unlinked(b), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	next := faultfs.New(1)
	for _, name := range r.fs.Names() {
		b := r.fs.Content(name)
		switch base := filepath.Base(name); {
		case base == storeFile:
			continue
		case base == stableFile:
			b = unsigned(b)
		case wal.IsSegment(base):
			clear(b[32:44])
		}
		next.SetContent(name, b)
	}
	r.fs = next
}

// A server that expects a store must not begin one below a mount that did not come up.
func TestExistingStoreIsExpected(t *testing.T) {
	opts := persist.Hooked(tight, nil, nil)
	opts.Existing = true
	for name, dir := range map[string]string{"empty": t.TempDir(), "not there": filepath.Join(t.TempDir(), "no")} {
		for range 2 { // the first refusal must not make the second start go on
			if _, err := persist.Open(dir, opts); !errors.Is(err, disk.ErrMissing) || !strings.Contains(err.Error(), dir+" holds no store") {
				t.Errorf("%s: got %v, want ErrMissing for %s", name, err, dir)
			}
		}
		if _, err := os.Stat(dir); name == "not there" && err == nil {
			t.Error("the folder was made")
		}
	}
	l := beginLife(t, t.TempDir())
	files := l.now()
	dir := t.TempDir()
	files.write(t, dir)
	db, err := persist.Open(dir, opts)
	if err != nil {
		t.Fatalf("a store: %v", err)
	}
	db.Close(false)
}

var (
	legacyIDFile = stage{files: map[string][]byte{legacyFile: []byte("00000000000000ab\n")}}
	segmentsOnly = stage{files: map[string][]byte{filepath.Join("objects", "00000000000000ab", "00000001", "01.seg"): []byte("x")}}
)

// laterLevel makes a store file that of a later release.
func laterLevel(b []byte) []byte {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	id := disk.Identity{Level: disk.Level + 1, Store: 7, Release: "9.9"}
	if err := id.Write(disk.OS, dir); err != nil {
		panic(err)
	}
	b, _ = os.ReadFile(filepath.Join(dir, storeFile))
	return b
}

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
	if err := l.db.Stable().SetUint64([]byte("CurrentTerm"), 1); err != nil {
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
