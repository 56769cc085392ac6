package object_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/persist/object"
)

var segmentID = object.ID{Store: 0x1122334455667788, Epoch: 0x99aabbcc, Seq: 42}

type item struct {
	key, value string
	at         kv.Locator
}

func items(n int) []item {
	out := make([]item, n)
	for i := range out {
		out[i] = item{
			key: fmt.Sprintf("key/%d", i), value: strings.Repeat(string(rune('a'+i%26)), i*7%100),
			at: kv.Locator{Rev: kv.Rev(100 + i), Ordinal: uint32(i % 3)},
		}
	}
	return out
}

func build(t testing.TB, id object.ID, all []item) ([]byte, []object.Record) {
	t.Helper()
	b := object.NewBuilder(id, object.Writer{1, 2, 3}, 0)
	var records []object.Record
	for _, it := range all {
		r, err := b.Add(it.key, it.at, it.value)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	size := b.Size()
	out := b.Finish()
	if len(out) != size {
		t.Fatalf("the segment has %d bytes, Size said %d", len(out), size)
	}
	return out, records
}

// If a packed value could not be read again, moving it would lose it.
func TestSegmentComesBack(t *testing.T) {
	for _, n := range []int{0, 1, 2, 100} {
		all := items(n)
		b, records := build(t, segmentID, all)
		s, err := object.Decode(segmentID, b)
		if err != nil {
			t.Fatalf("%d records: %v", n, err)
		}
		if len(s.Records) != n || s.Size != int64(len(b)) || s.Writer != (object.Writer{1, 2, 3}) {
			t.Fatalf("%d records: got %d, size %d, writer %v", n, len(s.Records), s.Size, s.Writer)
		}
		for i, r := range s.Records {
			v, err := s.Value(b, r)
			if err != nil || string(v) != all[i].value || r != records[i] || r.At != all[i].at || r.Key != object.HashKey(all[i].key) {
				t.Fatalf("record %d: got %q %+v %v, want %+v", i, v, r, err, all[i])
			}
		}
	}
}

// If any single flipped bit or cut went unnoticed, a wrong value would be served.
func TestDecodeFindsAllDamage(t *testing.T) {
	b, _ := build(t, segmentID, items(5))
	for bit := range len(b) * 8 {
		bad := bytes.Clone(b)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := object.Decode(segmentID, bad); !errors.Is(err, object.ErrDamaged) {
			t.Fatalf("bit %d of byte %d turned: got %v", bit%8, bit/8, err)
		} else if !strings.Contains(err.Error(), segmentID.Name()) {
			t.Fatalf("the error does not name the segment: %v", err)
		}
	}
	for n := range len(b) {
		if _, err := object.Decode(segmentID, b[:n]); !errors.Is(err, object.ErrDamaged) {
			t.Fatalf("cut to %d of %d bytes: got %v", n, len(b), err)
		}
	}
	if _, err := object.Decode(segmentID, append(bytes.Clone(b), 0)); !errors.Is(err, object.ErrDamaged) {
		t.Fatalf("one byte more: got %v", err)
	}
}

// If a segment passed for another one, an object under a wrong name would
// pass for the right one.
func TestDecodeKnowsTheSegment(t *testing.T) {
	b, _ := build(t, segmentID, items(3))
	for _, other := range []object.ID{
		{Store: 1, Epoch: segmentID.Epoch, Seq: 42}, {Store: segmentID.Store, Epoch: 1, Seq: 42},
		{Store: segmentID.Store, Epoch: segmentID.Epoch, Seq: 43},
	} {
		if _, err := object.Decode(other, b); !errors.Is(err, object.ErrDamaged) {
			t.Errorf("decoded as %s: %v", other.Name(), err)
		}
	}
}

// If names were ambiguous or did not sort, a sweep could take what belongs to
// another store.
func TestNames(t *testing.T) {
	name := segmentID.Name()
	if want := "1122334455667788/99aabbcc/000000000000002a.seg"; name != want {
		t.Fatalf("got %s, want %s", name, want)
	}
	if id, ok := object.ParseName(name); !ok || id != segmentID {
		t.Fatalf("parsed %+v %v", id, ok)
	}
	for _, bad := range []string{
		"", "x", name + "x", "/" + name, strings.ToUpper(name), strings.Replace(name, "/", "//", 1),
		strings.TrimSuffix(name, ".seg"), name + ".seg", strings.Replace(name, "2a", "+2a", 1),
		object.Prefix(segmentID.Store, segmentID.Epoch) + "probe-ABC",
	} {
		if id, ok := object.ParseName(bad); ok {
			t.Errorf("%q was parsed as %+v", bad, id)
		}
	}
}

// If a value longer than a reader accepts could be packed, it could not be read.
func TestBuilderBounds(t *testing.T) {
	b := object.NewBuilder(segmentID, object.Writer{}, 0)
	if _, err := b.Add("k", kv.Locator{Rev: 1}, strings.Repeat("x", object.MaxValue+1)); err == nil {
		t.Error("a value above MaxValue was packed")
	}
	if b.Len() != 0 {
		t.Errorf("%d records after a refused one", b.Len())
	}
}

// If the decoder could panic, or accept what the builder would not have written,
// a foreign object would end the process or pass for ours.
func FuzzDecode(f *testing.F) {
	for _, n := range []int{0, 1, 3} {
		b, _ := build(f, segmentID, items(n))
		f.Add(b)
	}
	f.Add([]byte("KWseg1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := object.Decode(segmentID, b)
		if err != nil {
			if !errors.Is(err, object.ErrDamaged) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		for _, r := range s.Records {
			if _, err := s.Value(b, r); err != nil {
				t.Fatalf("decoded, but a record is damaged: %v", err)
			}
		}
	})
}
