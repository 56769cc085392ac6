package kv_test

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// What the release before wrote: the meta of a checkpoint, a log entry that changes
// settings, and the outcome of two operations.
const (
	olderMeta    = "02ac0202a1b8eaf907920888270c03080e80bab703d00f80897ac09a0ca09c01d00f1280b518a09c019f95627d"
	olderSetup   = "024d000000000000000100000010090e80bab703809f4980897ac09a0ca09c01d00fc0843d80b518a09c01"
	olderOutcome = "\x01" + "\x09\x00\x00\x07\x0a" + // committed, rev 9, at 7-10
		"\x00" + // no current
		"\x02" + // two operations: a put; a get of a leased key
		"\x01\x09\x03\x04\x00" +
		"\x81\x08\x08\x01\x64" + "LLLLLLLLLLLLLLLL"
)

// If this failed, the release before would call a folder damaged that this one has written
// with the default settings, and there would be no way back to it.
func TestDefaultsAreWrittenAsTheReleaseBeforeDid(t *testing.T) {
	params := kv.Params{TombstoneMax: 7, IdemAge: time.Second, LeaseMax: 9}.WithDefaults()
	meta := kv.Meta{
		Index: 300, Term: 2, At: kv.Position{Epoch: 0x7f3a9c21, Rev: 1042}, Time: 5000, Floor: 12,
		Params: params, IdemFirst: 3, IdemNext: 8,
	}
	if got := hex.EncodeToString(meta.AppendTo(nil)); got != olderMeta {
		t.Errorf("meta:\n got %s\nwant %s", got, olderMeta)
	}
	if got, err := kv.ParseMeta(unhex(t, olderMeta)); err != nil || got != meta {
		t.Errorf("meta: read as %+v, %v, want %+v", got, err, meta)
	}
	var b kv.EntryBuilder
	b.AddSetup(kv.Setup{Epoch: 9, Params: kv.Params{TombstoneMax: 7}})
	if got := hex.EncodeToString(b.Finish(77)); got != olderSetup {
		t.Errorf("settings:\n got %s\nwant %s", got, olderSetup)
	}
	s := kv.NewState(kv.StateOptions{Presize: 1})
	if _, err := s.Apply(1, 1, unhex(t, olderSetup)); err != nil || s.Params() != (kv.Params{TombstoneMax: 7}).WithDefaults() {
		t.Errorf("settings: read as %+v, %v", s.Params(), err)
	}
}

// If this failed, a bound that is not the default would be lost with a restart.
func TestBoundThatIsNoDefaultIsWritten(t *testing.T) {
	want := kv.Meta{Index: 3, Params: kv.Params{IdemBytes: 5}.WithDefaults()}
	if got, err := kv.ParseMeta(want.AppendTo(nil)); err != nil || got != want {
		t.Errorf("meta: got %+v, %v, want %+v", got, err, want)
	}
	var b kv.EntryBuilder
	b.AddSetup(kv.Setup{Params: kv.Params{IdemBytes: 5}})
	s := kv.NewState(kv.StateOptions{Presize: 1})
	if _, err := s.Apply(1, 1, b.Finish(0)); err != nil || s.Params().IdemBytes != 5 {
		t.Errorf("settings: got %+v, %v, want 5 bytes for outcomes", s.Params(), err)
	}
}

// If this failed, records that the release before wrote would be called damaged, or it would
// call those damaged that this one writes for most requests.
func TestOutcomesOfFewOperationsAreAsTheReleaseBeforeHasThem(t *testing.T) {
	r, ok := kv.ParseOutcome([]byte(olderOutcome))
	if !ok || r.Outcome != kv.Committed || r.Rev != 9 || r.At != (kv.Position{Epoch: 7, Rev: 10}) || len(r.Ops) != 2 {
		t.Fatalf("got %+v, %v", r, ok)
	}
	put, get := r.Ops[0].Entry, r.Ops[1].Entry
	if put.Mod != 9 || put.Create != 3 || put.Version != 4 {
		t.Errorf("the put: got %+v", put)
	}
	if id := get.Lease(); get.Mod != 8 || get.Version != 1 || get.Deadline() != 100 || string(id[:]) != strings.Repeat("L", kv.LeaseIDSize) {
		t.Errorf("the get: got %+v", get)
	}
	if got := string(kv.AppendOutcome(&r)); got != olderOutcome {
		t.Errorf("written as %q, want %q", got, olderOutcome)
	}
	// With more operations it is packed, and says the same.
	for range 5 {
		r.Ops = append(r.Ops, r.Ops...)
	}
	b := kv.AppendOutcome(&r)
	again, ok := kv.ParseOutcome(b)
	c := &kv.Command{Ops: make([]kv.Op, len(r.Ops))}
	if want, got := kvtest.ResultOf(c, r), kvtest.ResultOf(c, again); !ok || !reflect.DeepEqual(got, want) || b[0] < 0x80 {
		t.Errorf("64 operations: got %+v, %v, want %+v, packed", got, ok, want)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
