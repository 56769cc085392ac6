package kv_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// sampleEntries are log entries with every kind of field.
func sampleEntries() [][]byte {
	prefix := "a/"
	ttl := kvtest.Put("k", "v")
	ttl.TTL = 1500
	keep := kvtest.Put("k2", "")
	keep.TTL = kv.KeepTTL
	return [][]byte{
		kv.EncodeEntry(0),
		kv.EncodeEntry(5, &kv.Command{Ops: []kv.Op{ttl, keep, kvtest.Delete("a/b"), kvtest.Get("c")}}),
		kv.EncodeEntry(6, &kv.Command{
			Fences: []kv.Fence{{Lock: "l", Token: 9}},
			Checks: []kv.Check{kvtest.Revision("k", 1), kvtest.Value("k", "v")},
			Else:   []kv.Op{kvtest.Get("c")}, HasElse: true,
			Idem: kv.Idem{Caller: "me", Key: "k-1", Fingerprint: [16]byte{1, 2}},
		}),
		kv.EncodeEntry(7, &kv.Command{Prefix: &prefix}, &kv.Command{}),
		kvtest.Encode(8, []kvtest.Step{{Setup: &kv.Setup{Epoch: 9}}}),
		leaseEntry(),
		kv.EncodeEntry(10, &kv.Command{Auth: 300, Private: &kv.PrivateCommand{
			Checks: []kv.PrivateCheck{{Name: "user/u-1", Rev: 9}}, Narrow: true,
			Puts: []kv.PrivateRecord{{Name: "user/u-1", Value: []byte("x")}}, Deletes: []string{"cred/a"},
		}}, &kv.Command{Ops: []kv.Op{kvtest.Put("k", "v")}, Auth: 7}),
		kv.EncodeEntry(9, &kv.Command{Ops: []kv.Op{kvtest.Put("k", "v")}}, &kv.Command{Refer: referTo("k", "v", 1)}),
		kv.EncodeEntry(10, extendedCommands()...),
	}
}

func apply(data []byte) error {
	_, err := kv.NewState(kv.StateOptions{Presize: 1}).Apply(1, 1, data)
	return err
}

// Whatever the bytes, Apply must run them or refuse them as malformed.
func FuzzApply(f *testing.F) {
	for _, b := range sampleEntries() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := apply(b); err != nil && !errors.Is(err, kv.ErrBadEntry) {
			t.Errorf("apply: got %v, want nil or %v", err, kv.ErrBadEntry)
		}
	})
}

// An entry that is too short or too long must be refused, and each sample whole
// must not.
func TestCutEntryIsRefused(t *testing.T) {
	for i, b := range sampleEntries() {
		if err := apply(b); err != nil {
			t.Errorf("sample %d: %v", i, err)
		}
		for n := range b {
			if err := apply(b[:n]); !errors.Is(err, kv.ErrBadEntry) {
				t.Errorf("sample %d cut to %d of %d bytes: got %v, want %v", i, n, len(b), err, kv.ErrBadEntry)
			}
		}
		if err := apply(append(b, 0)); !errors.Is(err, kv.ErrBadEntry) {
			t.Errorf("sample %d with a byte more: got %v, want %v", i, err, kv.ErrBadEntry)
		}
	}
	later := kv.EncodeEntry(0)
	later[0] += 6
	if err := apply(later); !errors.Is(err, kv.ErrBadEntry) || !strings.Contains(err.Error(), "version") {
		t.Errorf("entry of a later version: got %v, want one that says so", err)
	}
}

// someRecords returns a record of a value, of a deletion, of a value on a lease,
// and of a reference on one.
func someRecords(t testing.TB) (out []kv.Record) {
	s := kv.NewState(kv.StateOptions{Presize: 1})
	id := kv.LeaseID{3}
	leased, moved := kvtest.Put("leased", "value"), kvtest.Put("moved", "value")
	leased.Lease, moved.Lease = id, id
	commands := []*kv.Command{
		{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id, TTL: 1e9}},
		{Ops: []kv.Op{kvtest.Put("gone", "1"), kvtest.Put("value", "value")}},
		{Ops: []kv.Op{kvtest.Delete("gone"), leased}},
		{Ops: []kv.Op{moved}},
		{Refer: referTo("moved", "value", 3)},
	}
	if _, err := s.Apply(1, 1, kv.EncodeEntry(5, commands...)); err != nil {
		t.Fatal(err)
	}
	n, _ := s.Snapshot()
	defer n.Close()
	for key, e := range n.Changes("", 0) {
		out = append(out, kv.Record{Key: key, Entry: e})
	}
	if len(out) != 4 || !out[2].Entry.Cold() {
		t.Fatalf("got %+v", out)
	}
	return out
}

// referTo returns a command that moves the value which the first operation of
// revision rev wrote to key.
func referTo(key, value string, rev kv.Rev) *kv.Refer {
	sum := sha256.Sum256([]byte(value))
	return &kv.Refer{Segment: kv.SegmentID{Store: 7, Epoch: 9, Seq: 11}, Refs: []kv.Ref{{
		Key: key, At: kv.Locator{Rev: rev}, Offset: 300, Size: len(value), Hash: [kv.HashSize]byte(sum[:]),
	}}}
}

// sameRecord reports whether two records say the same of the same key.
func sameRecord(a, b kv.Record) bool {
	return a.Locator() == b.Locator() && a.Entry.Mod == b.Entry.Mod && a.Entry.Lease() == b.Entry.Lease() &&
		bytes.Equal(a.AppendTo(nil), b.AppendTo(nil))
}

// A record must be read as it was written, and any changed byte, or another place,
// must be found.
func TestDamagedRecordIsFound(t *testing.T) {
	for _, r := range someRecords(t) {
		b := r.AppendTo([]byte("before"))[6:]
		got, err := kv.ParseRecord(r.Locator(), b)
		if err != nil || !sameRecord(got, r) {
			t.Errorf("record: got %+v, %v, want %+v", got, err, r)
		}
		for i := range b {
			damaged := bytes.Clone(b)
			damaged[i] ^= 1
			if _, err := kv.ParseRecord(r.Locator(), damaged); !errors.Is(err, kv.ErrDamaged) {
				t.Errorf("byte %d changed: got %v, want %v", i, err, kv.ErrDamaged)
			}
			if _, err := kv.ParseRecord(r.Locator(), b[:i]); !errors.Is(err, kv.ErrDamaged) {
				t.Errorf("cut to %d bytes: got %v, want %v", i, err, kv.ErrDamaged)
			}
		}
		for _, at := range []kv.Locator{{Rev: r.Locator().Rev + 1}, {Rev: r.Locator().Rev, Ordinal: 9}} {
			if _, err := kv.ParseRecord(at, b); !errors.Is(err, kv.ErrDamaged) {
				t.Errorf("at another place: got %v, want %v", err, kv.ErrDamaged)
			}
		}
	}
}

// Whatever the bytes, ParseRecord must read or refuse them.
func FuzzParseRecord(f *testing.F) {
	for _, r := range someRecords(f) {
		f.Add(uint64(r.Locator().Rev), r.Locator().Ordinal, r.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, rev uint64, ordinal uint32, b []byte) {
		r, err := kv.ParseRecord(kv.Locator{Rev: kv.Rev(rev), Ordinal: ordinal}, b)
		if err != nil && !errors.Is(err, kv.ErrDamaged) {
			t.Errorf("parse: got %v, want %v", err, kv.ErrDamaged)
		}
		if err != nil {
			return
		}
		again, err := kv.ParseRecord(r.Locator(), r.AppendTo(nil))
		if err != nil || !sameRecord(again, r) {
			t.Errorf("record written again: got %+v, %v, want %+v", again, err, r)
		}
	})
}

// Meta must be read as it was written.
func TestMetaRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := kv.Meta{
			Index: rapid.Uint64().Draw(t, "index"), Term: rapid.Uint64().Draw(t, "term"),
			At:    kv.Position{Epoch: kv.Epoch(rapid.Uint32().Draw(t, "epoch")), Rev: kv.Rev(rapid.Uint64().Draw(t, "rev"))},
			Time:  rapid.Int64Min(0).Draw(t, "time"),
			Floor: kv.Rev(rapid.Uint64().Draw(t, "floor")), Params: kvtest.SmallParams,
			IdemFirst: rapid.Uint64().Draw(t, "first"), IdemNext: rapid.Uint64().Draw(t, "next"),
			Auth: kv.Rev(rapid.Uint64().Draw(t, "auth")),
		}
		b := want.AppendTo(nil)
		if got, err := kv.ParseMeta(b); err != nil || got != want {
			t.Fatalf("meta: got %+v, %v, want %+v", got, err, want)
		}
		i := rapid.IntRange(0, len(b)-1).Draw(t, "byte")
		b[i] ^= 0x10
		if _, err := kv.ParseMeta(b); !errors.Is(err, kv.ErrDamaged) {
			t.Fatalf("byte %d changed: got %v, want %v", i, err, kv.ErrDamaged)
		}
	})
}

// Whatever the bytes, ParseMeta must read or refuse them.
func FuzzParseMeta(f *testing.F) {
	f.Add(kv.Meta{Index: 3, Params: kvtest.SmallParams}.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := kv.ParseMeta(b); err != nil && !errors.Is(err, kv.ErrDamaged) {
			t.Errorf("parse: got %v, want %v", err, kv.ErrDamaged)
		}
	})
}

// What is read as a position must be exactly what is written for it.
func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"7f3a9c21-1042", "00000000-0", "7F3a9c21-1", "7f3a9c21-01", "7f3a9c21-+1", "7f3a9c21-18446744073709551615", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := kv.ParsePosition(s)
		if err == nil && p.String() != s {
			t.Errorf("position: got %q for %q", p, s)
		}
		if err != nil && !errors.Is(err, kv.ErrBadPosition) {
			t.Errorf("position: got %v, want %v", err, kv.ErrBadPosition)
		}
	})
}

// A position must be read as it was written.
func TestPositionRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := kv.Position{Epoch: kv.Epoch(rapid.Uint32().Draw(t, "epoch")), Rev: kv.Rev(rapid.Uint64().Draw(t, "rev"))}
		if got, err := kv.ParsePosition(want.String()); err != nil || got != want {
			t.Fatalf("position: got %v, %v, want %v", got, err, want)
		}
	})
}

// CheckKey must agree with the rule written out segment by segment.
func FuzzCheckKey(f *testing.F) {
	for _, s := range []string{"", "a", "a/b", "/a", "a/", "a//b", ".", "a/..", "a/...", "é", "\x7f", "\u0085", "\xff", strings.Repeat("k", 1025)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := len(s) >= 1 && len(s) <= 1024 && utf8.ValidString(s)
		for _, r := range s {
			want = want && r >= 0x20 && (r < 0x7f || r > 0x9f)
		}
		for _, segment := range strings.Split(s, "/") {
			want = want && segment != "" && segment != "." && segment != ".."
		}
		err := kv.CheckKey(s)
		if (err == nil) != want || err != nil && !errors.Is(err, kv.ErrBadKey) {
			t.Errorf("key %q: got %v, want it to be fine: %v", s, err, want)
		}
		for i := range len(s) {
			if want && utf8.ValidString(s[:i]) && !strings.HasSuffix(s[:i], "//") {
				if err := kv.CheckPrefix(s[:i]); err != nil {
					t.Errorf("prefix %q of a key: got %v, want nil", s[:i], err)
				}
			}
		}
	})
}
