package core_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster/core"
	"keywatch/persist/wal"
	"keywatch/test/gate"
)

func openStorage(t *testing.T, log core.Log, stable core.Stable, start core.Point) *core.Storage {
	t.Helper()
	s, err := core.OpenStorage(core.StorageOptions{Log: log, Stable: stable, Start: start})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A log that begins must begin with what earlier releases look for, and a log that has begun
// must not begin again.
func TestStorageBeginsOnce(t *testing.T) {
	log, stable := wal.NewMemLog(), new(wal.MemStable)
	for range 2 {
		s := openStorage(t, log, stable, core.Point{})
		want := wal.Entry{Index: 1, Term: 1, Type: wal.Configuration, Data: []byte(wal.SoleMembers)}
		if last, _ := s.LastIndex(); last != 1 || fmt.Sprint(core.Kept(log, 1)) != fmt.Sprint(want) {
			t.Errorf("a log that begins ends at %d with %+v, want %+v", last, core.Kept(log, 1), want)
		}
		hard, members, err := s.InitialState()
		if hard.GetTerm() != 1 || hard.GetVote() != 0 || hard.GetCommit() != 0 || err != nil || len(members.Voters) != 1 || members.Voters[0] != wal.SoleID {
			t.Errorf("state: got %v, %v, %v", hard, members, err)
		}
	}
	if e, err := openStorage(t, log, stable, core.Point{}).Entries(1, 2, 1); err != nil || len(e) != 1 || e[0].Data != nil {
		t.Errorf("the first entry: got %v, %v, want one without data for the state", e, err)
	}
}

// A log that does not reach the checkpoint, or begins beyond it, must not count as whole.
func TestStorageRefusesAGap(t *testing.T) {
	for _, first := range []uint64{3, 7} {
		log := wal.NewMemLog()
		for i := range uint64(2) {
			if err := log.Append(&wal.Entry{Index: first + i, Term: 1}); err != nil {
				t.Fatal(err)
			}
		}
		stable := &wal.MemStable{}
		if err := stable.SetHard(wal.Hard{Term: 1}); err != nil {
			t.Fatal(err)
		}
		if s, err := core.OpenStorage(core.StorageOptions{Log: log, Stable: stable, Start: core.Point{Index: 5, Term: 1}}); err == nil {
			t.Errorf("a log from %d on beside a checkpoint at 5: got %v, want an error", first, s)
		}
	}
}

// A server that has a log but no members has got its log in place of the state of another: it would
// take those that joined after it for all members.
func TestStorageRefusesALogWithoutMembers(t *testing.T) {
	log := wal.NewMemLog()
	if err := log.Append(&wal.Entry{Index: 1, Term: 1}); err != nil {
		t.Fatal(err)
	}
	o := core.StorageOptions{ID: 2, Log: log, Stable: new(wal.MemStable), Joins: true}
	if s, err := core.OpenStorage(o); err == nil {
		t.Errorf("got %v, want an error", s)
	}
	o.Log = wal.NewMemLog()
	if _, err := core.OpenStorage(o); err != nil {
		t.Errorf("without a log: %v", err)
	}
}

// Raft reads entries while a writer replaces those after them. If this failed, it would read what
// is cut off, or nothing.
func TestStorageIsReadWhileItsTailIsCut(t *testing.T) {
	const whole, all, rounds = 50, 80, 400
	rng := rand.New(rand.NewPCG(gate.Seed(t), 2))
	s := openStorage(t, wal.NewMemLog(), new(wal.MemStable), core.Point{})
	for i := range uint64(whole - 1) {
		if err := s.Append(core.Entry(2+i, 1, "data")); err != nil {
			t.Fatal(err)
		}
	}
	written := make(chan error, 1)
	go func() {
		var err error
		for term := uint64(2); term < rounds && err == nil; term++ {
			from := whole + 1 + rng.Uint64N(all-whole)
			if last, _ := s.LastIndex(); from > last+1 {
				from = last + 1
			}
			err = s.Append(core.Entry(from, term, "x"), core.Entry(from+1, term, ""))
			s.Applied(term % whole)
		}
		written <- err
	}()
	for done := false; !done; {
		select {
		case err := <-written:
			if done = true; err != nil {
				t.Fatal(err)
			}
		default:
		}
		got, err := s.Entries(2, whole+1, 1<<20)
		if err != nil || len(got) != whole-1 {
			t.Fatalf("got %d entries, %v, want %d", len(got), err, whole-1)
		}
		for _, e := range got {
			if term, err := s.Term(e.GetIndex()); e.GetTerm() != 1 || term != 1 || err != nil {
				t.Fatalf("entry %v, of term %d, %v, want term 1", e, term, err)
			}
		}
	}
}

// Raft asks for entries that a checkpoint removes meanwhile, and must learn that they are removed: of
// any other error it makes a panic.
func TestStorageIsReadWhileItIsCompacted(t *testing.T) {
	const last = 3000
	s := openStorage(t, wal.NewMemLog(), new(wal.MemStable), core.Point{})
	for i := range uint64(last - 1) {
		if err := s.Append(core.Entry(2+i, 1, "data")); err != nil {
			t.Fatal(err)
		}
	}
	s.Applied(last)
	compacted := make(chan error, 1)
	go func() {
		var err error
		for i := uint64(1); i < last && err == nil; i++ {
			err = s.Compact(core.Point{Index: i, Term: 1})
		}
		compacted <- err
	}()
	for first := uint64(1); first < last; first, _ = s.FirstIndex() {
		_, err := s.Entries(first, last+1, 200)
		if _, errTerm := s.Term(first); err != nil && err != raft.ErrCompacted || errTerm != nil && errTerm != raft.ErrCompacted {
			t.Fatalf("entries from %d on: %v; term: %v", first, err, errTerm)
		}
	}
	if err := <-compacted; err != nil {
		t.Fatal(err)
	}
}

// If this failed, Raft would read something else than what was written: it reads while entries
// are appended, cut off, let go of and compacted.
func TestStorageAgainstASlice(t *testing.T) {
	rng := rand.New(rand.NewPCG(gate.Seed(t), 1))
	log, stable := wal.NewMemLog(), new(wal.MemStable)
	s, end := openStorage(t, log, stable, core.Point{}), core.Point{}
	want := []*raftpb.Entry{core.Entry(0, 0, ""), core.Entry(1, 1, "")} // by index; 0 is before all
	first, term, applied := 1, uint64(1), 0                             // first is the first that is there
	for range 5000 {
		switch rng.IntN(8) {
		case 0, 1, 2:
			from := applied + 1 + rng.IntN(len(want)-applied)
			if from < len(want) {
				term++
			}
			var add []*raftpb.Entry
			for i := range 1 + rng.IntN(4) {
				add = append(add, core.Entry(uint64(from+i), term, [...]string{"", "x", "yyyyyyyyyyyyyyyyyyyyyyyy"}[rng.IntN(3)]))
			}
			if err := s.Append(add...); err != nil {
				t.Fatal(err)
			}
			want = append(want[:from], add...)
		case 3:
			applied += rng.IntN(len(want) - applied)
			s.Applied(uint64(applied))
		case 4:
			if applied >= first {
				first = first + rng.IntN(applied-first+1) + 1
				end = core.Point{Index: uint64(first - 1), Term: want[first-1].GetTerm()}
				if err := s.Compact(end); err != nil {
					t.Fatal(err)
				}
			}
		case 5:
			if err := stable.SetHard(wal.Hard{Term: term}); err != nil {
				t.Fatal(err)
			}
			s, applied = openStorage(t, log, stable, end), max(0, first-1)
		default:
			compareStorage(t, s, want, first, rng)
		}
	}
}

func compareStorage(t *testing.T, s *core.Storage, want []*raftpb.Entry, first int, rng *rand.Rand) {
	t.Helper()
	if f, _ := s.FirstIndex(); f != uint64(first) {
		t.Fatalf("first: got %d, want %d", f, first)
	}
	if l, _ := s.LastIndex(); l != uint64(len(want)-1) {
		t.Fatalf("last: got %d, want %d", l, len(want)-1)
	}
	for i := first - 1; i < len(want); i++ {
		if term, err := s.Term(uint64(i)); err != nil || term != want[i].GetTerm() {
			t.Fatalf("term of %d: got %d, %v, want %d", i, term, err, want[i].GetTerm())
		}
	}
	if _, err := s.Term(uint64(len(want))); err != raft.ErrUnavailable {
		t.Fatalf("term behind the end: got %v", err)
	}
	if _, err := s.Entries(uint64(first-1), uint64(first), 1); err != raft.ErrCompacted {
		t.Fatalf("before the first: got %v", err)
	}
	if first == len(want) {
		return
	}
	lo := first + rng.IntN(len(want)-first)
	hi := lo + 1 + rng.IntN(len(want)-lo)
	size := uint64(rng.IntN(100))
	got, err := s.Entries(uint64(lo), uint64(hi), size)
	if err != nil || len(got) == 0 || len(got) > hi-lo {
		t.Fatalf("entries %d to %d: got %v, %v", lo, hi, got, err)
	}
	left := int64(size)
	for i, e := range got {
		if w := want[lo+i]; e.GetIndex() != w.GetIndex() || e.GetTerm() != w.GetTerm() || string(e.Data) != string(w.Data) {
			t.Fatalf("entry %d: got %v, want %v", lo+i, e, w)
		}
		if left -= int64(len(e.Data)); i > 0 && left < 0 {
			t.Fatalf("entries %d to %d in %d bytes: got %v", lo, hi, size, got)
		}
	}
}

// What is applied must not stay in memory: a server that is alone does not read it again.
func TestAppliedEntriesAreLetGo(t *testing.T) {
	s := openStorage(t, wal.NewMemLog(), new(wal.MemStable), core.Point{})
	for i := range uint64(10) {
		if err := s.Append(core.Entry(2+i, 1, "data")); err != nil {
			t.Fatal(err)
		}
	}
	s.Applied(9)
	if got := s.InMemory(); got != 2 {
		t.Errorf("entries in memory: got %d, want the two that are not applied", got)
	}
}
