package kv_test

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// extendedCommands are commands with every field that releases before did not know.
func extendedCommands() []*kv.Command {
	at := kvtest.Put("a", "1")
	at.At = 5000
	keep := kvtest.Put("a", "2")
	keep.KeepLease, keep.TTL = true, kv.KeepTTL
	touch := kv.Op{Kind: kv.OpTouch, Key: "a", TTL: time.Second, When: kv.TouchSome}
	add := kv.Op{Kind: kv.OpAdd, Key: "n", By: -3}
	float := kv.Op{Kind: kv.OpAddFloat, Key: "f", Value: []byte("0.5")}
	not := kv.Check{Kind: kv.CheckValueNot, Key: "n", Value: []byte("x")}
	return []*kv.Command{
		{Ops: []kv.Op{at, add, float}},
		{Checks: []kv.Check{not}, Ops: []kv.Op{touch}, HasElse: true, Else: []kv.Op{keep}},
		{Reads: []kv.Read{{Key: "a", Rev: 2}}, Parts: []kv.Part{
			{Ops: []kv.Op{add}}, {Checks: []kv.Check{not}, Ops: []kv.Op{add, kvtest.Get("n")}, HasElse: true, Else: []kv.Op{kvtest.Delete("n")}},
		}},
	}
}

// The layout of an entry with such commands must not change any more, and an entry without
// must be as it always was: the release before reads it.
func TestExtendedEntry(t *testing.T) {
	const golden = "04" + "0a00000000000000" + "03000000" +
		"160003" + "41016188270131" + "04016e05" + "050166" + "03302e35" +
		"1609" + "01" + "06016e0178" + "01" + "060161d00f00" + "02" + "01" + "2101610101" + "32" +
		"1660" + "01016102" + "02" + "0001" + "04016e05" + "09" + "01" + "06016e0178" + "02" + "04016e05" + "03016e" + "01" + "02016e"
	entry := kv.EncodeEntry(10, extendedCommands()...)
	if got := hex.EncodeToString(entry); got != golden {
		t.Errorf("entry:\n got %s\nwant %s", got, golden)
	}
	s := kv.NewState(kv.StateOptions{Presize: 64})
	results, err := s.Apply(1, 1, entry)
	if err != nil || len(results) != 3 {
		t.Fatalf("apply: got %d results, %v", len(results), err)
	}
	if results[0].Outcome != kv.Committed || results[1].Outcome != kv.Committed || results[2].Outcome != kv.Committed {
		t.Errorf("outcomes: got %+v, want three that ran", results)
	}
	if plain := kv.EncodeEntry(10, &kv.Command{Ops: []kv.Op{kvtest.Put("a", "1"), kvtest.Get("b")}}); plain[0] != 2 {
		t.Errorf("version of a plain entry: got %d, want 2", plain[0])
	}
	plain := kv.EntryBuilder{}
	plain.Add(&kv.Command{Ops: []kv.Op{kvtest.Put("a", "1")}})
	extended := kv.EntryBuilder{}
	extended.Add(extendedCommands()[0])
	groups := []kv.Group{{Origin: 1, Seq: 1, Commands: 1}, {Origin: 2, Seq: 1, Commands: 1, Form: extended.Form()}}
	bodies := [][]byte{plain.Commands(), extended.Commands()}
	if e := kv.AppendGrouped(nil, 1, groups, bodies); e[0] != 5 {
		t.Errorf("version of a grouped entry with an extended command: got %d, want 5", e[0])
	}
	if e := kv.AppendGrouped(nil, 1, groups[:1], bodies[:1]); e[0] != 3 {
		t.Errorf("version of a grouped entry without: got %d, want 3", e[0])
	}
}

// The layout of an entry with a check that a key is unchanged must not change any more. If it had not a
// version of its own, a release that does not know the check would call the log damaged, or
// apply the command as if it held.
func TestEntryWithCheckOfChange(t *testing.T) {
	check := kv.Check{Kind: kv.CheckUnchanged, Key: "a", N: 300}
	const golden = "06" + "0a00000000000000" + "02000000" +
		"1708" + "01" + "070161ac02" + "01" + "03016e" +
		"1748" + "01" + "070161ac02" + "01" + "08" + "01" + "070161ac02" + "01" + "03016e"
	entry := kv.EncodeEntry(10,
		&kv.Command{Checks: []kv.Check{check}, Ops: []kv.Op{kvtest.Get("n")}},
		&kv.Command{Checks: []kv.Check{check}, Parts: []kv.Part{{Checks: []kv.Check{check}, Ops: []kv.Op{kvtest.Get("n")}}}})
	if got := hex.EncodeToString(entry); got != golden {
		t.Errorf("entry:\n got %s\nwant %s", got, golden)
	}
	s := kv.NewState(kv.StateOptions{Presize: 64})
	results, err := s.Apply(1, 1, entry)
	if err != nil || len(results) != 2 || results[0].Outcome != kv.Committed || results[1].Parts[0].Outcome != kv.Committed {
		t.Errorf("apply: got %+v, %v, want two that ran", results, err)
	}
	var b kv.EntryBuilder
	b.Add(&kv.Command{Checks: []kv.Check{check}})
	groups := []kv.Group{{Origin: 1, Seq: 1, Commands: 1, Form: b.Form()}}
	if e := kv.AppendGrouped(nil, 1, groups, [][]byte{b.Commands()}); e[0] != 7 {
		t.Errorf("version of a grouped entry: got %d, want 7", e[0])
	}
}

// In a plain command, which other releases read too, nothing new may be understood.
func TestPlainCommandHasNothingNew(t *testing.T) {
	for _, body := range []string{
		"0100" + "01" + "04016e05",                     // an add
		"0108" + "01" + "06016e0178" + "00",            // a check that a value is another
		"0110" + "00" + "00",                           // reads
		"1680" + "00",                                  // an unknown flag
		"1608" + "01" + "070161ac02" + "00",            // a check that a key is unchanged
		"1600" + "01" + "24016e05",                     // an add that keeps a lease
		"1600" + "01" + "060161020000" + "10",          // an unknown condition of a touch
		"1600" + "01" + "4101618080808080808080800100", // a deadline beyond all time
	} {
		b, err := hex.DecodeString("02" + "0a00000000000000" + "01000000" + body)
		if err != nil {
			t.Fatal(err)
		}
		if err := apply(b); !errors.Is(err, kv.ErrBadEntry) {
			t.Errorf("%s: got %v, want %v", body, err, kv.ErrBadEntry)
		}
	}
}
