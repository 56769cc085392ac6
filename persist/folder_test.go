package persist_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/disk"
	"keywatch/persist/wal"
)

// A combination is a folder whose files do not all belong together, and what is to be
// said of it. Without a kind it opens and has everything.
type combination struct {
	name  string
	files stage
	kind  error    // what the error matches
	words []string // what it says beside
}

// Words of remedies.
const (
	putBack = "put the right file back"
	restore = "keywatch restore FILE --data NEWDIR"
	lacks   = "it lacks only what was written after the last checkpoint"
)

// before returns a stage as the release before left it, which named no store.
func (s stage) before() stage {
	return s.changed(checkpointFile, persist.Unlinked).changed(stableFile, unsigned).without(storeFile).unstamped()
}

func combinations(t *testing.T) []combination {
	s := makeStages(t)
	return slices.Concat(wholeFolders(s), logCombinations(t, s), checkpointCombinations(s), otherCombinations(t, s))
}

func wholeFolders(s stages) []combination {
	return []combination{
		{"a store without a checkpoint yet", s.young, nil, nil},
		{"a store that was killed", s.late, nil, nil},
		{"a store that was stopped", s.stopped, nil, nil},
		{"a store of the release before", s.late.before(), nil, nil},
		{"the same, stopped", s.stopped.before(), nil, nil},
		{"the same, without a checkpoint yet", s.young.before(), nil, nil},
		{"the same, with an id", s.late.before().with(legacyIDFile, legacyFile), nil, nil},
	}
}

func logCombinations(t *testing.T, s stages) []combination {
	return []combination{
		{"log missing", s.late.without(logFiles), disk.ErrMissing, []string{logFiles, putBack, restore, lacks}},
		{"log missing after a stop", s.stopped.without(logFiles), disk.ErrMissing, []string{logFiles, lacks}},
		{"log missing before the first checkpoint", s.young.without(logFiles),
			disk.ErrMissing, []string{logFiles, putBack, restore}},
		{"log missing, release before", s.late.before().without(logFiles), disk.ErrMissing, []string{logFiles, lacks}},
		{"log missing before the first checkpoint, release before", s.young.before().without(logFiles),
			disk.ErrMissing, []string{logFiles, putBack}},
		{"log and stable store missing", s.late.without(logFiles, stableFile), disk.ErrMissing, []string{logFiles, lacks}},
		{"nothing but the checkpoint", s.late.without(logFiles, stableFile, storeFile),
			disk.ErrMissing, []string{logFiles, lacks}},
		{"log new and empty, release before", s.late.before().with(emptyLog(t), logFiles),
			disk.ErrMissing, []string{logFiles, "new and empty", lacks}},
		{"log new and empty before the first checkpoint", s.young.before().with(emptyLog(t), logFiles),
			disk.ErrMissing, []string{logFiles, "new and empty"}},
		{"log old", s.late.with(s.young, logFiles),
			disk.ErrOutdated, []string{logFiles, "ends at index 6", "reaches to 11", putBack}},
		{"log old and emptied", s.stopped.with(s.emptied, logFiles),
			disk.ErrOutdated, []string{logFiles, "groups", putBack}},
		{"log foreign", s.late.with(s.other, logFiles),
			disk.ErrForeign, []string{"log-00000001.seg", "belongs to store", putBack}},
		{"log newer", s.late.changed("log-00000001.seg", persist.LaterSegment),
			disk.ErrNewer, []string{"log-00000001.seg", "later release", "nothing was changed"}},
	}
}

func checkpointCombinations(s stages) []combination {
	return []combination{
		{"checkpoint missing", s.late.without(checkpointFile), disk.ErrMissing, []string{checkpointFile, putBack, restore}},
		{"checkpoint missing after a stop", s.stopped.without(checkpointFile),
			disk.ErrMissing, []string{checkpointFile, putBack}},
		{"checkpoint missing, release before", s.stopped.before().without(checkpointFile),
			disk.ErrMissing, []string{checkpointFile, putBack}},
		{"checkpoint missing, and the log has everything", s.young.without(checkpointFile), nil, nil},
		{"checkpoint and log missing", s.late.without(checkpointFile, logFiles),
			disk.ErrMissing, []string{checkpointFile, "log-*.seg", putBack}},
		{"nothing but the stable store", s.late.without(checkpointFile, logFiles, storeFile),
			disk.ErrMissing, []string{checkpointFile, "log-*.seg"}},
		{"nothing but the store file", s.late.without(checkpointFile, logFiles, stableFile),
			disk.ErrMissing, []string{checkpointFile, "log-*.seg"}},
		{"nothing but segments of values", segmentsOnly, disk.ErrMissing, []string{checkpointFile, "objects"}},
		{"nothing but the id of the release before", legacyIDFile, disk.ErrMissing, []string{checkpointFile, legacyFile}},
		{"checkpoint old", s.late.with(s.young, checkpointFile),
			disk.ErrOutdated, []string{checkpointFile, "reaches to log index 0", "begins at 12", putBack}},
		{"checkpoint old, log emptied", s.stopped.with(s.early, checkpointFile),
			disk.ErrOutdated, []string{checkpointFile, "reaches to log index 6", "begins at 17"}},
		{"checkpoint old, and the log has the rest", s.keptLate.with(s.keptEarly, checkpointFile), nil, nil},
		{"checkpoint of another history", s.keptLate.changed(checkpointFile, persist.OtherTerm),
			disk.ErrForeign, []string{checkpointFile, "it has term 7, and the log has 1", putBack}},
		{"checkpoint foreign", s.late.with(s.other, checkpointFile),
			disk.ErrForeign, []string{checkpointFile, "belongs to store", putBack}},
		{"checkpoint foreign, no store file", s.late.with(s.other, checkpointFile).without(storeFile),
			disk.ErrForeign, []string{checkpointFile, "the log beside it"}},
		{"checkpoint of another program", s.late.changed(checkpointFile, always(persist.OtherBolt())),
			disk.ErrForeign, []string{checkpointFile, "another program"}},
		{"another kind of file for a checkpoint", s.late.changed(checkpointFile, always(bytes.Repeat([]byte("text\n"), 4000))),
			disk.ErrForeign, []string{checkpointFile, "another kind of file"}},
		{"a full backup for a checkpoint", s.late.changed(checkpointFile, always([]byte("\x89keywatch whole\x01"+strings.Repeat("x", 9000)))),
			disk.ErrForeign, []string{checkpointFile, "full backup", "restore"}},
		{"checkpoint newer", s.late.changed(checkpointFile, persist.LaterHeader),
			disk.ErrNewer, []string{checkpointFile, "format 99", "nothing was changed"}},
		{"checkpoint with newer records", s.late.changed(checkpointFile, persist.LaterMeta),
			disk.ErrNewer, []string{checkpointFile, "version 99", "nothing was changed"}},
		{"checkpoint damaged", s.stopped.changed(checkpointFile, flipped("key/3")),
			kv.ErrDamaged, []string{checkpointFile, "at byte", "keep this folder"}},
		{"checkpoint cut short", s.late.changed(checkpointFile, func(b []byte) []byte { return b[:3*4096] }),
			kv.ErrDamaged, []string{checkpointFile, "at byte", "keep this folder"}},
	}
}

func otherCombinations(t *testing.T, s stages) []combination {
	return []combination{
		{"stable store missing", s.late.without(stableFile), nil, nil},
		{"stable store old", s.late.changed(stableFile, always(persist.EncodeStable(nil))), nil, nil},
		{"stable store foreign", s.late.with(s.other, stableFile),
			disk.ErrForeign, []string{stableFile, "belongs to store", "holds no keys"}},
		{"stable store newer", s.late.changed(stableFile, persist.LaterStable),
			disk.ErrNewer, []string{stableFile, "nothing was changed"}},
		{"stable store damaged", s.late.changed(stableFile, flipped("Term")),
			kv.ErrDamaged, []string{stableFile, "holds no keys"}},
		{"a first start that was cut short while it bootstrapped", bootstrapping(t), nil, nil},

		{"store file missing", s.late.without(storeFile), nil, nil},
		{"store file foreign", s.late.with(s.other, storeFile),
			disk.ErrForeign, []string{checkpointFile, "belongs to store"}},
		{"store file damaged", s.late.changed(storeFile, flipped("level")),
			kv.ErrDamaged, []string{storeFile, "holds no keys"}},
		{"folder newer", s.late.changed(storeFile, laterLevel),
			disk.ErrNewer, []string{"format 3 (keywatch 9.9)", "format 2", "nothing was changed"}},
		{"id of the release before damaged", s.late.before().with(legacyIDFile, legacyFile).changed(legacyFile, always([]byte("zzz\n"))),
			kv.ErrDamaged, []string{legacyFile, "holds no keys"}},

		{"clean-stop mark missing", s.stopped.without(string(disk.CleanStop)), nil, nil},
		{"a restore that did not succeed", restoring(s.late),
			persist.ErrRestoring, []string{"keywatch restore", persist.RestoringName}},
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
	if hard, err := r.db.Stable().Hard(); len(c.files.want) > 1 && (hard.Term < 1 || err != nil) {
		t.Errorf("the term is %d, %v, want 1", hard.Term, err)
	}
}
