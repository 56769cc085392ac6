package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

// logged returns the files of a log over several segments, a conflict and a
// compaction behind it, and what it holds. Its end is named durable by a mark if
// closed is set, and by nothing if not.
func logged(t *testing.T, closed bool) (fsys *faultfs.FS, want []string) {
	t.Helper()
	fsys = faultfs.New(3)
	l := mustOpen(t, small(fsys))
	for i := range 24 {
		mustStore(t, l, entries(uint64(1+2*i), 1, 2, 100))
	}
	if err := errors.Join(l.DeleteRange(41, 48), l.DeleteRange(1, 15)); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		mustStore(t, l, entries(uint64(41+2*i), 2, 2, 100))
	}
	want = contents(t, l)
	if closed {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fsys, want
}

// segments returns the paths of the log's segments.
func segments(fsys *faultfs.FS) []string {
	return slices.DeleteFunc(fsys.Names(), func(n string) bool { return !strings.HasSuffix(n, ".seg") })
}

// copied returns a durable copy of all files with one replaced.
func copied(fsys *faultfs.FS, name string, b []byte) *faultfs.FS {
	next := faultfs.New(1)
	for _, n := range fsys.Names() {
		if n != name {
			next.SetContent(n, fsys.Content(n))
		}
	}
	if b != nil {
		next.SetContent(name, b)
	}
	return next
}

// A verdict is what an Open did with damaged files.
type verdict int

const (
	whole   verdict = iota // all entries are there
	refused                // a DamageError or a MisfitError that names the file
	lastCut                // all but the last write are there
)

// judge opens a log and fails the test if it lost something silently.
func judge(t *testing.T, what string, fsys *faultfs.FS, file string, want []string, lastWrite int) verdict {
	t.Helper()
	before := fsys.Ops()
	l, err := wal.Open(dir, small(fsys))
	if m, ok := errors.AsType[*disk.MisfitError](err); ok {
		if m.Kind != disk.ErrMissing || m.File != file || fsys.Ops() != before {
			t.Fatalf("%s: got %v, want %s missing and nothing changed", what, err, file)
		}
		return refused
	}
	if d, ok := errors.AsType[*disk.DamageError](err); ok {
		if d.Offset < 0 || d.Reason == "" || d.Remedy == "" || filepath.Dir(d.File) != dir {
			t.Fatalf("%s: the error does not say enough: %v", what, err)
		}
		if d.File != file && !strings.Contains(d.Reason, "durable") {
			t.Fatalf("%s: the error names %s, want %s", what, d.File, file)
		}
		if fsys.Ops() != before {
			t.Fatalf("%s: open changed files and then refused", what)
		}
		return refused
	}
	if err != nil {
		t.Fatalf("%s: got %v, want a DamageError", what, err)
	}
	defer l.Close()
	got := contents(t, l)
	switch {
	case slices.Equal(got, want):
		return whole
	case lastWrite > 0 && slices.Equal(got, want[:len(want)-lastWrite]):
		return lastCut
	}
	t.Fatalf("%s: got %d entries, want %d or a refusal", what, len(got), len(want))
	return 0
}

// One flipped bit anywhere must be found, or do no harm. After an orderly stop there
// is no exception. After a crash, the last write alone, which nothing later
// names, may count as unfinished.
func TestFlippedBitAnywhere(t *testing.T) {
	for _, closed := range []bool{true, false} {
		t.Run(fmt.Sprintf("closed=%v", closed), func(t *testing.T) {
			fsys, want := logged(t, closed)
			count := make(map[verdict]int)
			lastWrite := 0
			if !closed {
				lastWrite = 2
			}
			for _, file := range segments(fsys) {
				b := fsys.Content(file)
				for i := 0; i < len(b); i += step(b, i) {
					b[i] ^= 1 << (i % 8)
					count[judge(t, fmt.Sprintf("bit of byte %d in %s", i, file),
						copied(fsys, file, b), file, want, lastWrite)]++
					b[i] ^= 1 << (i % 8)
				}
			}
			if count[refused] < 5000 || closed == (count[lastCut] > 0) || count[lastCut] > 500 {
				t.Errorf("got whole %d, refused %d, last write cut %d",
					count[whole], count[refused], count[lastCut])
			}
		})
	}
}

// step returns 1 within what is written and more in long stretches of zeros, which
// are too dull to try each byte of.
func step(b []byte, i int) int {
	if i+128 < len(b) && bytes.Equal(b[i:i+128], make([]byte, 128)) {
		return 31
	}
	return 1
}

// A file that lost its end must be refused at every length: no crash shortens it.
func TestTruncatedAtEveryLength(t *testing.T) {
	fsys, want := logged(t, false)
	for _, file := range segments(fsys) {
		b := fsys.Content(file)
		for n := range b {
			what := fmt.Sprintf("%s cut to %d bytes", file, n)
			if judge(t, what, copied(fsys, file, b[:n:n]), file, want, 0) != refused {
				t.Fatalf("%s: was not refused", what)
			}
		}
	}
}

// A segment that is gone must be refused, except the empty one made ahead.
func TestMissingSegment(t *testing.T) {
	fsys, want := logged(t, true)
	files := segments(fsys)
	if len(files) < 4 {
		t.Fatalf("got %d segments, want at least 4", len(files))
	}
	for i, file := range files {
		got := judge(t, file+" removed", copied(fsys, file, nil), file, want, 0)
		if ahead := i == len(files)-1; ahead != (got == whole) {
			t.Errorf("%s of %d removed: got verdict %d", file, len(files), got)
		}
	}
}

// Two segments under each other's name must not be read in the wrong order.
func TestSwappedSegments(t *testing.T) {
	fsys, want := logged(t, true)
	files := segments(fsys)
	a, b := fsys.Content(files[0]), fsys.Content(files[1])
	swapped := copied(copied(fsys, files[0], b), files[1], a)
	if judge(t, "swapped", swapped, files[0], want, 0) != refused {
		t.Error("swapped segments were not refused")
	}
}

// A pause or a restart must leave the last write named, so that a flipped bit in it
// is found even though nothing was written after it.
func TestMarksCoverTheLastWrite(t *testing.T) {
	for name, pause := range map[string]func(t *testing.T, fsys *faultfs.FS, l *wal.Log){
		"pause":  func(t *testing.T, fsys *faultfs.FS, l *wal.Log) { l.Pause() },
		"close":  func(t *testing.T, fsys *faultfs.FS, l *wal.Log) { l.Close() },
		"reopen": func(t *testing.T, fsys *faultfs.FS, l *wal.Log) { mustOpen(t, small(fsys)) },
	} {
		t.Run(name, func(t *testing.T) {
			fsys := faultfs.New(1)
			l := mustOpen(t, small(fsys))
			mustStore(t, l, entries(1, 1, 1, 100))
			file := fsys.Names()[0]
			flip := func() *faultfs.FS {
				b := fsys.Content(file)
				b[wal.SegmentHead+wal.GroupHead+50] ^= 4
				return copied(fsys, file, b)
			}
			if got := judge(t, "before", flip(), file, contents(t, l), 1); got != lastCut {
				t.Errorf("before: got verdict %d, want the last write cut", got)
			}
			pause(t, fsys, l)
			if got := judge(t, "after", flip(), file, nil, 0); got != refused {
				t.Errorf("after: got verdict %d, want a refusal", got)
			}
		})
	}
}

// A client may store what looks like groups of the log. Where a cut leaves them
// behind the log's end, or right at it, they must never be read as such.
func TestValueThatLooksLikeGroups(t *testing.T) {
	fsys := faultfs.New(1)
	want := entries(1, 1, 1, 100)
	mustStore(t, mustOpen(t, small(fsys)), want)
	name := fsys.Names()[0]
	forged := append(wal.EncodeGroup(entry(2, 1, 50), 0, 2, 0), // the next one
		wal.EncodeGroup(entry(9, 1, 50), 0, 9, 8)...) // names the end as durable
	b := fsys.Content(name)
	end := wal.SegmentHead + (wal.GroupHead+wal.EntryHead+100+7)/8*8
	copy(b[end:], forged)
	same(t, "log", contents(t, mustOpen(t, small(copied(fsys, name, b)))), texts(want))
}

// A bit that flips while the log is open must be found by the read.
func TestReadFindsDamage(t *testing.T) {
	fsys := faultfs.New(1)
	l := mustOpen(t, small(fsys))
	mustStore(t, l, entries(1, 1, 3, 100))
	file := fsys.Names()[0]
	f, err := fsys.OpenFile(file, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte{0xff}, wal.SegmentHead+wal.GroupHead+wal.EntryHead+132+50)
	for i, damaged := range []bool{false, true, false} {
		err := l.Read(uint64(i+1), entry(0, 0, 0))
		if isDamage(err) != damaged || !damaged && err != nil {
			t.Errorf("Read(%d): got %v, want damage %v", i+1, err, damaged)
		}
	}
}
