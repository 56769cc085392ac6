package wal_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

// A group decoder must take no bytes but those that the encoder made, and must not
// read beyond what it was given.
func FuzzDecodeGroup(f *testing.F) {
	f.Add(wal.EncodeGroup(entry(1, 1, 7), 7, 3, 2), uint64(7))
	f.Add(wal.EncodeGroup(entry(1, 1, 0), 0, 1, 0), uint64(0))
	f.Add(bytes.Repeat([]byte{0xff}, 64), ^uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, salt uint64) {
		payload, size, err := wal.DecodeGroup(b, salt)
		if err != nil {
			return
		}
		if size > int64(len(b)) || len(payload) > len(b)-wal.GroupHead {
			t.Fatalf("got a group of %d bytes with %d of payload out of %d", size, len(payload), len(b))
		}
		if _, _, err := wal.DecodeGroup(b[:size-1], salt); err == nil {
			t.Fatal("a group without its last byte was taken")
		}
		if _, _, err := wal.DecodeGroup(b, salt+1); err == nil {
			t.Fatal("a group of another segment was taken")
		}
	})
}

// An entry decoder must not fail otherwise than with an error, and what it takes
// must encode to the same bytes.
func FuzzDecodeEntry(f *testing.F) {
	f.Add(wal.EncodeEntry(nil, entry(3, 2, 50)), uint64(3))
	f.Add(wal.EncodeEntry(nil, &wal.Entry{Index: 9, Data: []byte("x")}), uint64(9))
	f.Fuzz(func(t *testing.T, b []byte, index uint64) {
		var e wal.Entry
		if wal.DecodeEntry(b, index, &e) != nil {
			return
		}
		if wal.DecodeEntry(b, index+1, &wal.Entry{}) == nil {
			t.Fatal("an entry was taken for another one")
		}
		again := wal.EncodeEntry(nil, &e)
		if !bytes.Equal(again[4:29], b[4:29]) || !bytes.Equal(again[32:], b[32:]) {
			t.Fatalf("got %x from %x", again, b)
		}
	})
}

// The same for the stable store's file.
func FuzzDecodeStable(f *testing.F) {
	f.Add(wal.EncodeStable(map[string][]byte{"a": []byte("1"), "": nil}))
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := wal.DecodeStable(b)
		if err != nil {
			return
		}
		again, err := wal.DecodeStable(wal.EncodeStable(values))
		if err != nil || !maps.EqualFunc(values, again, slices.Equal) {
			t.Fatalf("got %v %v, want %v", again, err, values)
		}
	})
}

// A segment with any content must be opened or refused, never crash the process.
func FuzzOpenLog(f *testing.F) {
	fsys := faultfs.New(1)
	l, err := wal.Open(dir, small(fsys))
	if err != nil {
		f.Fatal(err)
	}
	l.Append(entries(1, 1, 3, 20)...)
	l.DeleteRange(3, 3)
	l.DeleteRange(1, 1)
	name := fsys.Names()[0]
	good := fsys.Content(name)
	f.Add(good[wal.SegmentHead:], uint16(0))
	f.Add([]byte("garbage"), uint16(100))
	f.Fuzz(func(t *testing.T, b []byte, at uint16) {
		image := bytes.Clone(good)
		copy(image[wal.SegmentHead+int(at)%3000:], b)
		l, err := wal.Open(dir, small(copied(fsys, name, image)))
		if err != nil {
			return
		}
		contents(t, l)
		if err := l.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	})
}
