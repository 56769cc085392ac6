package watchtest_test

import (
	"slices"
	"testing"

	"keywatch/kv"
	"keywatch/watch"
	"keywatch/watch/watchtest"
)

const stream = "retry: 1370\n\n" +
	"event: reset\ndata: {\"type\":\"reset\"}\nid: 0000000a-0\n\n" +
	"event: put\ndata: {\"type\":\"put\",\"key\":\"k\",\"value\":\"AP8=\",\"encoding\":\"base64\",\"rev\":3,\"create_rev\":2,\"version\":2}\n\n" +
	"event: synced\ndata: {\"type\":\"synced\"}\nid: 0000000a-4\n\n" +
	"data: {\"type\":\"delete\",\"key\":\"k\",\"cause\":\"expired\",\"rev\":5,\"create_rev\":2,\"version\":3}\nid: 0000000a-5\n\n"

func told() []watchtest.Step {
	at := func(rev kv.Rev) kv.Position { return kv.Position{Epoch: 10, Rev: rev} }
	return []watchtest.Step{
		{Kind: watchtest.Connect},
		{Kind: watch.Reset, At: at(0), HasAt: true},
		{Kind: watch.Put, Change: watchtest.Change{Key: "k", Value: "\x00\xff", Rev: 3, Create: 2, Version: 2}},
		{Kind: watch.Synced, At: at(4), HasAt: true},
		{Kind: watch.Delete, Change: watchtest.Change{Key: "k", Rev: 5, Create: 2, Version: 3, Deleted: true}, At: at(5), HasAt: true},
	}
}

// Without it a stream that the network splits at some byte would be recorded as
// something else than was sent.
func TestStreamsAreRecordedWhereverTheySplit(t *testing.T) {
	for cut := range len(stream) + 1 {
		var w watchtest.Wire
		w.Connect()
		for _, piece := range []string{stream[:cut], stream[cut:]} {
			if err := w.Stream([]byte(piece)); err != nil {
				t.Fatalf("split at %d: %v", cut, err)
			}
		}
		if !slices.Equal(w.Steps(), told()) || w.Since() != "0000000a-5" {
			t.Fatalf("split at %d: got %v, want %v", cut, w.Steps(), told())
		}
	}
}

const lines = `{"type":"reset","pos":"0000000a-0"}
{"type":"put","key":"k","value":"AP8=","encoding":"base64","rev":3,"create_rev":2,"version":2}
{"type":"synced","pos":"0000000a-4"}
{"type":"delete","key":"k","cause":"expired","rev":5,"create_rev":2,"version":3,"pos":"0000000a-5"}
`

// The same of lines, of which a part from before a break must be dropped.
func TestLinesAreRecordedWhereverTheySplit(t *testing.T) {
	for cut := range len(lines) + 1 {
		var w watchtest.Wire
		w.Connect()
		for _, piece := range []string{lines[:cut], lines[cut:]} {
			if err := w.Lines([]byte(piece)); err != nil {
				t.Fatalf("split at %d: %v", cut, err)
			}
		}
		if !slices.Equal(w.Steps(), told()) || w.Since() != "0000000a-5" {
			t.Fatalf("split at %d: got %v, want %v", cut, w.Steps(), told())
		}
		var broken watchtest.Wire
		broken.Connect()
		if err := broken.Lines([]byte(lines[:cut])); err != nil {
			t.Fatal(err)
		}
		broken.Connect()
		n := len(broken.Steps())
		if err := broken.Lines([]byte(lines)); err != nil || !slices.Equal(broken.Steps()[n:], told()[1:]) {
			t.Fatalf("broken at %d: got %v, %v", cut, broken.Steps()[n:], err)
		}
	}
	var w watchtest.Wire
	w.Connect()
	if err := w.Lines([]byte("{}\n")); err == nil {
		t.Error("what is no message was taken")
	}
}

// Without it part of an event from before a break could be glued to what comes
// after it, or count as told.
func TestABrokenEventIsDropped(t *testing.T) {
	for cut := range len(stream) {
		var w watchtest.Wire
		w.Connect()
		if err := w.Stream([]byte(stream[:cut])); err != nil {
			t.Fatal(err)
		}
		n := len(w.Steps())
		w.Connect()
		if err := w.Stream([]byte(stream)); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if got := w.Steps()[n+1:]; !slices.Equal(got, told()[1:]) {
			t.Fatalf("cut at %d: got %v, want %v", cut, got, told()[1:])
		}
	}
}

// Without it a client would take in what no server of keywatch says.
func TestWhatIsNoEventIsRefused(t *testing.T) {
	for _, text := range []string{
		"event: put\ndata: {\"type\":\"delete\"}\n\n", "data: {\n\n", "data: {\"type\":\"connect\"}\n\n",
		"data: {\"type\":\"synced\"}\nid: 7\n\n", "date: {}\n\n",
		"data: {\"type\":\"put\",\"value\":\"?\",\"encoding\":\"base64\"}\n\n",
	} {
		var w watchtest.Wire
		w.Connect()
		if err := w.Stream([]byte(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
