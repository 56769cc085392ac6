package wal_test

import (
	"bytes"
	"errors"
	"testing"

	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

// mustOpenStable opens a stable store.
func mustOpenStable(t *testing.T, fsys disk.FS) *wal.Stable {
	t.Helper()
	s, err := wal.OpenStable(dir, wal.StableOptions{FS: fsys})
	if err != nil {
		t.Fatalf("OpenStable: %v", err)
	}
	return s
}

// What Raft must not forget must be there as it was set, with the vote of its term only, in
// the keys that earlier releases read.
func TestHardIsKept(t *testing.T) {
	disk := mustOpenStable(t, faultfs.New(1))
	for _, s := range []interface {
		Hard() (wal.Hard, error)
		SetHard(wal.Hard) error
	}{disk, new(wal.MemStable)} {
		for _, want := range []wal.Hard{{}, {Term: 1}, {Term: 1, Vote: wal.SoleID}, {Term: 2}, {Term: 1<<63 + 5, Vote: 0xfedcba9876543210}} {
			if want != (wal.Hard{}) {
				if err := s.SetHard(want); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := s.Hard(); got != want || err != nil {
				t.Errorf("%T: got %+v, %v, want %+v", s, got, err, want)
			}
		}
	}
	if _, err := disk.Get([]byte("k")); err == nil {
		t.Error("a key that was never set has a value")
	}
	value := []byte("value")
	if err := errors.Join(disk.Set([]byte("k"), value), disk.SetHard(wal.Hard{Term: 7, Vote: wal.SoleID})); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	for key, want := range map[string]string{
		"k": "value", "CurrentTerm": "\x00\x00\x00\x00\x00\x00\x00\x07",
		"LastVoteTerm": "\x00\x00\x00\x00\x00\x00\x00\x07", "LastVoteCand": "keywatch-1",
	} {
		if got, err := disk.Get([]byte(key)); string(got) != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", key, got, err, want)
		}
	}
	if err := disk.Set([]byte("LastVoteCand"), []byte("another")); err != nil {
		t.Fatal(err)
	}
	if got, err := disk.Hard(); err == nil {
		t.Errorf("a vote for a server with a strange name: got %+v, want an error", got)
	}
}

// A term or vote that is forgotten, or half there, lets a member vote twice.
func TestStableSurvivesPowerCutAnywhere(t *testing.T) {
	for at := 1; ; at++ {
		fsys := faultfs.New(uint64(at))
		acked := uint64(0)
		s := mustOpenStable(t, fsys)
		fsys.CutAt(at)
		var err error
		for n := uint64(1); n <= 3 && err == nil; n++ {
			if err = s.SetHard(wal.Hard{Term: n, Vote: n}); err == nil {
				acked = n
			}
		}
		for _, loss := range []faultfs.Loss{faultfs.DropAll, faultfs.DropSome, faultfs.DropNone} {
			got, err := mustOpenStable(t, fsys.Crash(loss)).Hard()
			if got.Vote != got.Term || got.Term != acked && got.Term != acked+1 || err != nil {
				t.Errorf("cut at %d, loss %d: got %+v %v, want term and vote %d or one more", at, loss, got, err, acked)
			}
		}
		if err == nil {
			return
		}
	}
}

// After a failed write it is unknown what is on disk: the store must not continue.
func TestStableStopsAfterFailure(t *testing.T) {
	for at := 1; at <= 5; at++ {
		fsys := faultfs.New(1)
		told := 0
		s, err := wal.OpenStable(dir, wal.StableOptions{FS: fsys, Fatal: func(error) { told++ }})
		if err != nil {
			t.Fatal(err)
		}
		fsys.FailAt(at)
		for i := range 2 {
			if err := s.SetHard(wal.Hard{Term: 1}); !errors.Is(err, faultfs.ErrInjected) {
				t.Errorf("failure at %d, try %d: got %v", at, i, err)
			}
		}
		if told != 1 {
			t.Errorf("failure at %d: Fatal was called %d times, want 1", at, told)
		}
	}
}

// Any flipped bit and any lost byte must be refused: an older vote is no vote.
func TestStableRefusesDamage(t *testing.T) {
	fsys := faultfs.New(1)
	s := mustOpenStable(t, fsys)
	s.SetHard(wal.Hard{Term: 5})
	s.Set([]byte("LastVoteCand"), []byte("node-1"))
	file := fsys.Names()[0]
	b := fsys.Content(file)
	open := func(b []byte) error {
		_, err := wal.OpenStable(dir, wal.StableOptions{FS: copied(fsys, file, b)})
		return err
	}
	if err := open(b); err != nil {
		t.Fatalf("undamaged: %v", err)
	}
	for i := range b {
		b[i] ^= 1 << (i % 8)
		if err := open(b); !isDamage(err) {
			t.Errorf("bit of byte %d: got %v, want damage", i, err)
		}
		b[i] ^= 1 << (i % 8)
		if err := open(bytes.Clone(b[:i:i])); !isDamage(err) {
			t.Errorf("cut to %d bytes: got %v, want damage", i, err)
		}
	}
}
