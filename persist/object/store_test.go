package object_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"keywatch/persist/object"
)

// suite holds what every store must do.
var suite = []struct {
	name string
	test func(*testing.T, object.Store)
}{
	{"roundtrip", testRoundTrip}, {"once", testPutOnce}, {"race", testPutRace}, {"absent", testAbsent},
	{"range", testRange}, {"list", testList}, {"delete", testDelete}, {"probe", testProbe}, {"upload", testUpload},
	{"cancel", testCancel},
}

func runSuite(t *testing.T, open func(*testing.T) object.Store) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	r.Read(b)
	return b
}

// If bytes changed on the way, every value in the segment would be lost.
func testRoundTrip(t *testing.T, s object.Store) {
	for _, n := range []int{1, 1000, 9 << 20} {
		name, want := fmt.Sprintf("a/b/%d", n), random(n)
		must(t, s.Put(t.Context(), name, want))
		got, err := s.GetRange(t.Context(), name, 0, int64(n))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: %d came back, equal %v, %v", n, len(got), bytes.Equal(got, want), err)
		}
	}
}

// If a name could be written twice, a reference could come to mean other bytes.
func testPutOnce(t *testing.T, s object.Store) {
	must(t, s.Put(t.Context(), "once", []byte("first")))
	if err := s.Put(t.Context(), "once", []byte("other")); !errors.Is(err, object.ErrExists) {
		t.Fatalf("a second put: %v", err)
	}
	if b, err := s.GetRange(t.Context(), "once", 0, 5); err != nil || string(b) != "first" {
		t.Fatalf("after it: %q, %v", b, err)
	}
}

// If two writers could both believe that they own a name, one's segment would be
// referenced and gone.
func testPutRace(t *testing.T, s object.Store) {
	const rounds, writers = 8, 6
	for round := range rounds {
		name := fmt.Sprintf("race/%d", round)
		var won atomic.Int32
		var winner atomic.Value
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				body := fmt.Sprintf("writer %d", w)
				switch err := s.Put(t.Context(), name, []byte(body)); {
				case err == nil:
					won.Add(1)
					winner.Store(body)
				case !errors.Is(err, object.ErrExists):
					t.Errorf("writer %d: %v", w, err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d winners", round, won.Load())
		}
		if b, err := s.GetRange(t.Context(), name, 0, 8); err != nil || string(b) != winner.Load() {
			t.Fatalf("round %d: %q is there, %q won, %v", round, b, winner.Load(), err)
		}
	}
}

// If a lost object looked like a store that is down, no operator would look for it.
func testAbsent(t *testing.T, s object.Store) {
	must(t, s.Put(t.Context(), "x/there", []byte("b")))
	for _, name := range []string{"absent", "x/absent", "x"} {
		if _, err := s.GetRange(t.Context(), name, 0, 1); !errors.Is(err, object.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// If ranges were off by one, a record would be read as damaged; if an object that
// is too short were not found out, it would be read for ever.
func testRange(t *testing.T, s object.Store) {
	all := random(1000)
	must(t, s.Put(t.Context(), "r", all))
	for _, r := range [][2]int64{{0, 1}, {0, 1000}, {999, 1}, {10, 90}, {500, 500}, {7, 0}} {
		b, err := s.GetRange(t.Context(), "r", r[0], r[1])
		if err != nil || !bytes.Equal(b, all[r[0]:r[0]+r[1]]) {
			t.Errorf("%d bytes at %d: %v", r[1], r[0], err)
		}
	}
	for _, r := range [][2]int64{{0, 1001}, {999, 2}, {1000, 1}, {5000, 10}, {-1, 5}, {1, -1}} {
		if _, err := s.GetRange(t.Context(), "r", r[0], r[1]); !errors.Is(err, object.ErrDamaged) {
			t.Errorf("%d bytes at %d of 1000: %v", r[1], r[0], err)
		}
	}
}

// If a listing missed an object or showed a foreign one, a sweep would leave or
// take the wrong things.
func testList(t *testing.T, s object.Store) {
	for _, name := range []string{"p/a/1", "p/a/2", "p/ab", "p/b/1", "q/1"} {
		must(t, s.Put(t.Context(), name, []byte(name)))
	}
	for prefix, want := range map[string][]string{
		"p/a/": {"p/a/1", "p/a/2"}, "p/a": {"p/a/1", "p/a/2", "p/ab"}, "q/": {"q/1"}, "none/": nil,
		"": {"p/a/1", "p/a/2", "p/ab", "p/b/1", "q/1"},
	} {
		var got []string
		for info, err := range s.List(t.Context(), prefix) {
			must(t, err)
			if info.Size != int64(len(info.Name)) || info.Modified.IsZero() {
				t.Errorf("%+v", info)
			}
			got = append(got, info.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("prefix %q: got %v, want %v", prefix, got, want)
		}
	}
	for range s.List(t.Context(), "") {
		break // a range that is left early must not panic or hang
	}
}

// If a deletion failed for what is gone already, a sweep that was cut off could
// never be finished.
func testDelete(t *testing.T, s object.Store) {
	must(t, s.Put(t.Context(), "d/1", []byte("b")))
	for range 2 {
		must(t, s.Delete(t.Context(), "d/1"))
	}
	if _, err := s.GetRange(t.Context(), "d/1", 0, 1); !errors.Is(err, object.ErrNotFound) {
		t.Fatalf("after deletion: %v", err)
	}
	must(t, s.Put(t.Context(), "d/1", []byte("c")))
}

// If a good store did not pass, nothing would ever be moved to it; if the probe
// left its object behind, each start would cost one.
func testProbe(t *testing.T, s object.Store) {
	must(t, object.Probe(t.Context(), s, "x/y/"))
	for info, err := range s.List(t.Context(), "") {
		t.Errorf("the probe left %v, %v", info, err)
	}
}

// If a segment could not be read back value by value, it was uploaded in vain; if
// another's segment passed for ours, its values would be served as ours.
func testUpload(t *testing.T, s object.Store) {
	all := items(50)
	b, records := build(t, segmentID, all)
	for range 2 { // the second time as after a lost answer
		must(t, object.Upload(t.Context(), s, segmentID, b))
	}
	for i, it := range all {
		v, err := object.ReadValue(t.Context(), s, segmentID, records[i].Offset, it.key, it.at, len(it.value))
		if err != nil || v != it.value {
			t.Fatalf("%s: %q, %v", it.key, v, err)
		}
	}
	it, r := all[9], records[9]
	if _, err := object.ReadValue(t.Context(), s, segmentID, r.Offset, "other", it.at, len(it.value)); !errors.Is(err, object.ErrDamaged) {
		t.Errorf("another key's value: %v", err)
	}
	builder := object.NewBuilder(segmentID, object.NewWriter(), 0)
	_, err := builder.Add("k", it.at, "v")
	must(t, err)
	if err := object.Upload(t.Context(), s, segmentID, builder.Finish()); !errors.Is(err, object.ErrTaken) {
		t.Errorf("another writer: %v", err)
	}
}

// If a request went on after its caller had gone, a slow store would pile them up.
func testCancel(t *testing.T, s object.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, "c", []byte("b")); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.GetRange(ctx, "c", 0, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	if err := s.Delete(ctx, "c"); !errors.Is(err, context.Canceled) {
		t.Errorf("delete: %v", err)
	}
}
