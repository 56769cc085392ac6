package persist_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/persist"
	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

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
