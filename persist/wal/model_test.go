package wal_test

import (
	"testing"

	"pgregory.net/rapid"

	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

// A machine runs a log beside the simplest thing that could be one.
type machine struct {
	fsys  *faultfs.FS
	log   *wal.Log
	model []*wal.Entry
	term  uint64
	kept  uint64 // the highest commit that the log was told, within the entries that it has
}

// ends returns the model's first and last index, 0 and 0 if it is empty.
func (m *machine) ends() (first, last uint64) {
	if len(m.model) == 0 {
		return 0, 0
	}
	return m.model[0].Index, m.model[len(m.model)-1].Index
}

// Any sequence of operations and restarts must leave the log equal to a slice.
func TestLogBehavesAsASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{fsys: faultfs.New(rapid.Uint64().Draw(t, "seed"))}
		m.open(t)
		t.Repeat(map[string]func(*rapid.T){
			"store":    m.store,
			"keep":     m.keep,
			"delete":   m.delete,
			"restart":  func(t *rapid.T) { m.log.Close(); m.open(t) },
			"kill":     func(t *rapid.T) { m.open(t) },
			"powercut": func(t *rapid.T) { m.fsys = m.fsys.Crash(faultfs.DropSome); m.open(t) },
			"":         m.check,
		})
	})
}

// open opens the log, with a policy under which nothing may be lost.
func (m *machine) open(t *rapid.T) {
	opts := small(m.fsys)
	opts.SegmentSize = rapid.SampledFrom([]int64{4 << 10, 8 << 10}).Draw(t, "segment size")
	l, err := wal.Open(dir, opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	m.log = l
}

// store appends some entries, at any index if the log is empty.
func (m *machine) store(t *rapid.T) {
	m.term++
	_, last := m.ends()
	if last == 0 {
		last = rapid.Uint64Range(0, 1000).Draw(t, "begin after")
	}
	logs := entries(last+1, m.term, rapid.IntRange(1, 8).Draw(t, "entries"),
		rapid.SampledFrom([]int{0, 1, 100, 500, 2000}).Draw(t, "size"))
	if rapid.Bool().Draw(t, "keep") {
		commit := rapid.Uint64Range(0, last).Draw(t, "commit")
		if err := m.log.Keep(commit, logs...); err != nil {
			t.Fatalf("Keep: %v", err)
		}
		m.kept = max(m.kept, commit)
	} else if err := m.log.Append(logs...); err != nil {
		t.Fatalf("Append: %v", err)
	}
	m.model = append(m.model, logs...)
}

// keep notes what is committed, without an entry.
func (m *machine) keep(t *rapid.T) {
	_, last := m.ends()
	commit := rapid.Uint64Range(0, last).Draw(t, "commit")
	if err := m.log.Keep(commit); err != nil {
		t.Fatalf("Keep: %v", err)
	}
	m.kept = max(m.kept, commit)
}

// delete removes a range that touches an end.
func (m *machine) delete(t *rapid.T) {
	first, last := m.ends()
	at := rapid.Uint64Range(first, last+1).Draw(t, "at")
	n := min(at-first, uint64(len(m.model)))
	var err error
	if rapid.Bool().Draw(t, "suffix") {
		err = m.log.DeleteRange(at, last+5)
		m.model = m.model[:n:n]
	} else if at > 0 {
		err = m.log.DeleteRange(0, at-1)
		m.model = m.model[n:]
	}
	if err != nil {
		t.Fatalf("DeleteRange: %v", err)
	}
	if _, last := m.ends(); m.kept > last { // Raft never removes what is committed
		m.kept = 0
	}
}

// check compares everything.
func (m *machine) check(t *rapid.T) {
	wantFirst, wantLast := m.ends()
	first, _ := m.log.FirstIndex()
	last, _ := m.log.LastIndex()
	if first != wantFirst || last != wantLast {
		t.Fatalf("got %d to %d, want %d to %d", first, last, wantFirst, wantLast)
	}
	var bytes int64
	for _, want := range m.model {
		var e wal.Entry
		if err := m.log.Read(want.Index, &e); err != nil || show(&e) != show(want) {
			t.Fatalf("Read(%d): got %v %s, want %s", want.Index, err, show(&e), show(want))
		}
		bytes += int64(wal.EntryHead + len(want.Data))
	}
	if got := m.log.Kept(); m.kept >= wantFirst && got < m.kept {
		t.Fatalf("Kept: got %d, want %d at least", got, m.kept)
	}
	if got := m.log.Bytes(); got != bytes {
		t.Fatalf("Bytes: got %d, want %d", got, bytes)
	}
}
