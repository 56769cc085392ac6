package wal_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/hashicorp/raft"

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

// Raft takes exactly the text "not found" for a first start; anything else stops it.
func TestStableMissingKey(t *testing.T) {
	for name, s := range map[string]raft.StableStore{
		"disk": mustOpenStable(t, faultfs.New(1)), "memory": wal.NewMemStable(),
	} {
		if _, err := s.Get([]byte("k")); err == nil || err.Error() != "not found" {
			t.Errorf("%s: Get: got %v, want not found", name, err)
		}
		if _, err := s.GetUint64([]byte("k")); err == nil || err.Error() != "not found" {
			t.Errorf("%s: GetUint64: got %v, want not found", name, err)
		}
		value := []byte("value")
		if err := errors.Join(s.Set([]byte("k"), value), s.SetUint64([]byte("n"), 1<<63+5)); err != nil {
			t.Fatal(err)
		}
		value[0] = 'X'
		got, err := s.Get([]byte("k"))
		if string(got) != "value" || err != nil {
			t.Errorf("%s: Get: got %q %v, want value", name, got, err)
		}
		if n, err := s.GetUint64([]byte("n")); n != 1<<63+5 || err != nil {
			t.Errorf("%s: GetUint64: got %d %v", name, n, err)
		}
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
			if err = s.SetUint64([]byte("term"), n); err == nil {
				acked = n
			}
		}
		for _, loss := range []faultfs.Loss{faultfs.DropAll, faultfs.DropSome, faultfs.DropNone} {
			got, err := mustOpenStable(t, fsys.Crash(loss)).GetUint64([]byte("term"))
			if got != acked && got != acked+1 || err != nil && acked > 0 {
				t.Errorf("cut at %d, loss %d: got %d %v, want %d or one more", at, loss, got, err, acked)
			}
		}
		if err == nil {
			return
		}
	}
}

// After a failed write nobody knows what is on disk: the store must not go on.
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
			if err := s.SetUint64([]byte("n"), 1); !errors.Is(err, faultfs.ErrInjected) {
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
	s.SetUint64([]byte("CurrentTerm"), 5)
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
