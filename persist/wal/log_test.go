package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"slices"
	"testing"
	"unsafe"

	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

const dir = "data"

// quiet is a logger that prints nothing.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// small returns options with segments of 4 KiB on fsys and no goroutines.
func small(fsys disk.FS) wal.Options {
	return wal.Inline(wal.Options{FS: fsys, SegmentSize: 4 << 10, Logger: quiet})
}

// entry returns an entry whose content follows from its arguments.
func entry(index, term uint64, size int) *wal.Entry {
	data := bytes.Repeat([]byte{byte(index), byte(term), byte(size)}, size/3+1)[:size]
	return &wal.Entry{
		Index: index, Term: term, Type: wal.Command, Data: data,
	}
}

// entries returns n entries from first on.
func entries(first, term uint64, n, size int) []*wal.Entry {
	var logs []*wal.Entry
	for i := range n {
		logs = append(logs, entry(first+uint64(i), term, size))
	}
	return logs
}

// show is an entry as text, for comparing; the data as length and checksum.
func show(e *wal.Entry) string {
	return fmt.Sprintf("%d/%d type %d data %d:%08x", e.Index, e.Term, e.Type, len(e.Data), crc32.ChecksumIEEE(e.Data))
}

// store is what all stores of entries have.
type store interface {
	FirstIndex() (uint64, error)
	LastIndex() (uint64, error)
	Read(index uint64, e *wal.Entry) error
	Append(entries ...*wal.Entry) error
	DeleteRange(lowest, highest uint64) error
}

// contents reads a whole log.
func contents(t testing.TB, l store) []string {
	t.Helper()
	first, err := l.FirstIndex()
	if err != nil {
		t.Fatalf("FirstIndex: %v", err)
	}
	last, err := l.LastIndex()
	if err != nil {
		t.Fatalf("LastIndex: %v", err)
	}
	var got []string
	for i := first; i <= last && i > 0; i++ {
		var e wal.Entry
		if err := l.Read(i, &e); err != nil {
			t.Fatalf("Read(%d) of %d to %d: %v", i, first, last, err)
		}
		got = append(got, show(&e))
	}
	return got
}

// texts are entries as contents returns them.
func texts(logs []*wal.Entry) []string {
	var want []string
	for _, e := range logs {
		want = append(want, show(e))
	}
	return want
}

// mustOpen opens a log and closes it when the test ends.
func mustOpen(t testing.TB, opts wal.Options) *wal.Log {
	t.Helper()
	l, err := wal.Open(dir, opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// mustStore stores entries.
func mustStore(t testing.TB, l store, logs []*wal.Entry) {
	t.Helper()
	if err := l.Append(logs...); err != nil {
		t.Fatalf("Append: %v", err)
	}
}

// same compares two logs.
func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %d entries %.300q, want %d %.300q", what, len(got), got, len(want), want)
	}
}

// conformance runs a test against every log store.
func conformance(t *testing.T, test func(t *testing.T, l store)) {
	t.Run("disk", func(t *testing.T) { test(t, mustOpen(t, small(faultfs.New(1)))) })
	t.Run("memory", func(t *testing.T) { test(t, wal.NewMemLog()) })
}

// An entry that lost a field on its way through the log would make members differ.
func TestStoreKeepsEveryField(t *testing.T) {
	conformance(t, func(t *testing.T, l store) {
		logs := []*wal.Entry{
			{Index: 1, Term: 1, Type: wal.Noop},
			{Index: 2, Term: 1 << 40, Type: wal.Configuration, Data: []byte("data")},
			{Index: 3, Term: 1 << 40, Type: wal.Barrier},
			{Index: 4, Term: 1 << 41, Data: bytes.Repeat([]byte("x"), 9000)},
		}
		mustStore(t, l, logs)
		same(t, "log", contents(t, l), texts(logs))
	})
}

// Raft tells an empty log by 0 and a missing entry by ErrLogNotFound.
func TestEmptyLog(t *testing.T) {
	conformance(t, func(t *testing.T, l store) {
		first, err1 := l.FirstIndex()
		last, err2 := l.LastIndex()
		if first != 0 || last != 0 || err1 != nil || err2 != nil {
			t.Errorf("got %d to %d, %v %v, want 0 to 0", first, last, err1, err2)
		}
		for _, i := range []uint64{0, 1, 1 << 63} {
			if err := l.Read(i, &wal.Entry{}); err != wal.ErrNotFound {
				t.Errorf("Read(%d): got %v, want %v", i, err, wal.ErrNotFound)
			}
		}
		if err := l.Append(nil...); err != nil {
			t.Errorf("Append of nothing: %v", err)
		}
		if err := l.DeleteRange(1, 10); err != nil {
			t.Errorf("DeleteRange: %v", err)
		}
	})
}

// Entries with a gap would be read as other entries after a restart.
func TestStoreRefusesGaps(t *testing.T) {
	conformance(t, func(t *testing.T, l store) {
		if err := l.Append(entry(0, 1, 8)); !errors.Is(err, wal.ErrNotContiguous) {
			t.Errorf("index 0: got %v, want ErrNotContiguous", err)
		}
		mustStore(t, l, entries(7, 1, 3, 8))
		for _, logs := range [][]*wal.Entry{
			entries(11, 1, 1, 8), entries(9, 1, 1, 8), entries(1, 1, 1, 8),
			{entry(10, 1, 8), entry(12, 1, 8)},
		} {
			if err := l.Append(logs...); !errors.Is(err, wal.ErrNotContiguous) {
				t.Errorf("store %d: got %v, want ErrNotContiguous", logs[0].Index, err)
			}
		}
		same(t, "log", contents(t, l), texts(entries(7, 1, 3, 8)))
	})
}

// Compaction removes the beginning, a conflict the end, an installed snapshot all.
func TestDeleteRange(t *testing.T) {
	for _, c := range []struct {
		lowest, highest uint64
		first, last     uint64
		err             error
	}{
		{10, 12, 13, 19, nil}, {0, 12, 13, 19, nil}, {15, 19, 10, 14, nil}, {15, 99, 10, 14, nil},
		{10, 19, 0, 0, nil}, {1, 99, 0, 0, nil}, {1, 9, 10, 19, nil}, {20, 30, 10, 19, nil},
		{15, 14, 10, 19, nil}, {12, 15, 10, 19, wal.ErrHole},
	} {
		conformance(t, func(t *testing.T, l store) {
			mustStore(t, l, entries(10, 1, 4, 100))
			mustStore(t, l, entries(14, 1, 6, 100))
			if err := l.DeleteRange(c.lowest, c.highest); !errors.Is(err, c.err) {
				t.Fatalf("DeleteRange(%d, %d): got %v, want %v", c.lowest, c.highest, err, c.err)
			}
			var want []string
			if c.last > 0 {
				want = texts(entries(c.first, 1, int(c.last-c.first+1), 100))
			}
			same(t, fmt.Sprintf("after DeleteRange(%d, %d)", c.lowest, c.highest), contents(t, l), want)
			for _, i := range []uint64{c.first - 1, c.last + 1} {
				if err := l.Read(i, &wal.Entry{}); err != wal.ErrNotFound {
					t.Errorf("Read(%d): got %v, want not found", i, err)
				}
			}
		})
	}
}

// After a snapshot is installed the emptied log begins anywhere, also lower.
func TestEmptiedLogBeginsAnywhere(t *testing.T) {
	conformance(t, func(t *testing.T, l store) {
		mustStore(t, l, entries(100, 1, 5, 10))
		for _, first := range []uint64{5000, 3} {
			last, _ := l.LastIndex()
			if err := l.DeleteRange(1, last); err != nil {
				t.Fatal(err)
			}
			mustStore(t, l, entries(first, 2, 3, 10))
			same(t, "log", contents(t, l), texts(entries(first, 2, 3, 10)))
		}
	})
}

// Memory that a log takes must be counted, and given back with its entries: the places of
// many small entries take more than their data.
func TestMemLogGivesMemoryBack(t *testing.T) {
	m, n := wal.NewMemLog(), uint64(50_000)
	mustStore(t, m, entries(1, 1, int(n), 10))
	if got, least := m.Bytes(), int64(n)*(10+int64(unsafe.Sizeof(wal.Entry{}))); got < least {
		t.Errorf("Bytes: got %d, want at least %d", got, least)
	}
	for i, left := range []uint64{n / 2, 100, 0} {
		if err := m.DeleteRange(0, n-left); err != nil {
			t.Fatal(err)
		}
		want := texts(entries(n-left+1, 1, int(left), 10))
		same(t, fmt.Sprintf("with %d left", left), contents(t, m), want)
		if got := m.Ring(); uint64(got) > max(1024, 4*left) {
			t.Errorf("step %d: there is room for %d entries, with %d left", i, got, left)
		}
	}
	if got := m.Bytes(); got != 0 {
		t.Errorf("Bytes of an empty log: got %d", got)
	}
}

// A restart must find exactly what was there, the first index included.
func TestReopenFindsTheSame(t *testing.T) {
	fsys := faultfs.New(1)
	l := mustOpen(t, small(fsys))
	for i := range 40 {
		mustStore(t, l, entries(uint64(1+i*5), 1, 5, 100))
	}
	for _, step := range []func() error{
		func() error { return nil },
		func() error { return l.DeleteRange(1, 77) },
		func() error { return l.DeleteRange(150, 200) },
		func() error { return l.Append(entries(150, 2, 30, 200)...) },
		func() error { return l.Append(entries(180, 2, 1, 9000)...) },
		func() error { return l.Append(entries(181, 2, 10, 10)...) },
		func() error { return l.Discard(0) },
		func() error { return l.Append(entries(1000, 3, 3, 10)...) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		want := contents(t, l)
		for _, closed := range []bool{true, false} {
			if closed {
				if err := l.Close(); err != nil {
					t.Fatalf("Close: %v", err)
				}
			}
			l = mustOpen(t, small(fsys))
			same(t, "after reopen", contents(t, l), want)
			if got, last := l.Synced(), uint64(len(want)); last > 0 && got == 0 {
				t.Errorf("Synced after reopen: got %d", got)
			}
		}
	}
	if names := fsys.Names(); len(names) > 4 {
		t.Errorf("old segments were not given up: %v", names)
	}
}

// A closed log that still took entries would lose them.
func TestCloseIsFinalAndIdempotent(t *testing.T) {
	l := mustOpen(t, small(faultfs.New(1)))
	mustStore(t, l, entries(1, 1, 3, 10))
	for range 2 {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := l.Append(entry(4, 1, 10)); !errors.Is(err, wal.ErrClosed) {
		t.Errorf("StoreLog: got %v, want ErrClosed", err)
	}
	if err := l.Read(1, &wal.Entry{}); !errors.Is(err, wal.ErrClosed) {
		t.Errorf("Read: got %v, want ErrClosed", err)
	}
	if err := l.DeleteRange(1, 2); !errors.Is(err, wal.ErrClosed) {
		t.Errorf("DeleteRange: got %v, want ErrClosed", err)
	}
}

// Trailing logs are chosen by these figures: wrong ones keep too much or too little.
func TestSizes(t *testing.T) {
	fsys := faultfs.New(1)
	l := mustOpen(t, small(fsys))
	const each = wal.EntryHead + 100
	check := func(when string, n int64) {
		t.Helper()
		if got := l.Bytes(); got != n*each {
			t.Errorf("%s: Bytes: got %d, want %d", when, got, n*each)
		}
	}
	mustStore(t, l, entries(1, 1, 100, 100))
	check("stored", 100)
	l.DeleteRange(1, 20)
	check("prefix deleted", 80)
	l.DeleteRange(91, 100)
	check("suffix deleted", 70)
	for index, want := range map[uint64]int64{0: 70, 20: 70, 21: 69, 89: 1, 90: 0, 200: 0} {
		if got := l.BytesAfter(index); got != want*each {
			t.Errorf("BytesAfter(%d): got %d, want %d", index, got, want*each)
		}
	}
	for n, want := range map[int64]uint64{0: 0, each - 1: 0, each: 1, 10 * each: 10, 1000 * each: 70} {
		if got := l.EntriesWithin(n); got != want {
			t.Errorf("EntriesWithin(%d): got %d, want %d", n, got, want)
		}
	}
	s := l.Stats()
	if s.Entries != 100 || s.Appends < 3 || s.Fsyncs < 3 || s.Bytes != 70*each || s.Segments == 0 {
		t.Errorf("Stats: got %+v", s)
	}
	l.Close()
	l = mustOpen(t, small(fsys))
	check("reopened", 70)
}

// Options that cannot work must not make a log that fails later.
func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []wal.Options{
		{SegmentSize: 100}, {SegmentSize: 1 << 41}, {Interval: -1}, {Sync: 9},
	} {
		if _, err := wal.Open(t.TempDir(), o); err == nil {
			t.Errorf("Open(%+v): got no error", o)
		}
	}
}

// What is known to be committed must be there again after a restart, with the entries that it
// came with and without any, and wherever the log was cut.
func TestKeptCommitSurvives(t *testing.T) {
	fsys := faultfs.New(1)
	l := mustOpen(t, small(fsys))
	mustStore(t, l, entries(1, 1, 3, 10))
	for _, step := range []struct {
		commit  uint64
		entries []*wal.Entry
	}{{2, entries(4, 1, 2, 100)}, {5, nil}, {4, entries(6, 2, 40, 300)}} {
		if err := l.Keep(step.commit, step.entries...); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Keep(45, entries(99, 2, 1, 1)...); !errors.Is(err, wal.ErrNotContiguous) || l.Kept() != 5 {
		t.Errorf("entries behind a gap: got %v and %d, want %v and 5", err, l.Kept(), wal.ErrNotContiguous)
	}
	want := contents(t, l)
	l = mustOpen(t, small(fsys.Crash(faultfs.DropAll)))
	same(t, "after a crash", contents(t, l), want)
	if got := l.Kept(); got != 5 {
		t.Errorf("kept: got %d, want 5", got)
	}
	if err := errors.Join(l.DeleteRange(40, 45), l.Keep(39, entries(40, 3, 1, 5)...), l.DeleteRange(1, 20)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
