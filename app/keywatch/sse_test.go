package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// readAll returns every event of a stream, one a line, and how it ended.
func readAll(in io.Reader) string {
	r := newSSEReader(in, func() {})
	var b strings.Builder
	for {
		e, err := r.next()
		if err != nil {
			return b.String() + err.Error()
		}
		fmt.Fprintf(&b, "%q id=%v:%q retry=%v\n", e.data, e.hasID, e.id, e.retry)
	}
}

// If the reader departed from the standard, events would be lost, joined or
// cut without a sign.
func TestSSEReader(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "event: put\ndata: {}\nid: a-1\n\n", `"{}" id=true:"a-1" retry=0s` + "\nEOF"},
		{"no space, CRLF", "data:x\r\nid:1\r\n\r\n", `"x" id=true:"1" retry=0s` + "\nEOF"},
		{"one space only is taken", "data:  x\n\n", `" x" id=false:"" retry=0s` + "\nEOF"},
		{"lines join", "data: a\ndata\ndata: b\n\n", `"a\n\nb" id=false:"" retry=0s` + "\nEOF"},
		{"comments and unknown fields", ": hi\nfoo: bar\n\ndata: x\n\n", `"x" id=false:"" retry=0s` + "\nEOF"},
		{"retry", "retry: 1370\n\nretry: soon\n\nretry: -1\n\n", `"" id=false:"" retry=1.37s` + "\nEOF"},
		{"an id alone", "id: a-7\n\n", `"" id=true:"a-7" retry=0s` + "\nEOF"},
		{"cut inside a line", "data: x\n\ndata: {\"k", `"x" id=false:"" retry=0s` + "\nunexpected EOF"},
		{"cut between lines", "data: x\nid: 1\n", "EOF"},
	} {
		for name, in := range map[string]io.Reader{
			"whole": strings.NewReader(c.in), "bytewise": iotest.OneByteReader(strings.NewReader(c.in)),
		} {
			if got := readAll(in); got != c.want {
				t.Errorf("%s, %s: got %s, want %s", c.name, name, got, c.want)
			}
		}
	}
}

// If a long event did not fit, a watch of large values would end.
func TestSSEReaderLongEvent(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	e, err := newSSEReader(strings.NewReader("data: "+long+"\n\n"), func() {}).next()
	if err != nil || e.data != long {
		t.Errorf("got %d bytes, %v, want %d", len(e.data), err, len(long))
	}
}

// If backing off did not grow, spread and end, a server that is down would be
// hammered by all its watchers at once.
func TestComeBackDelays(t *testing.T) {
	w := &watcher{delay: time.Second}
	for failures, want := range []time.Duration{0, 1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, longestComeBack, longestComeBack} {
		if w.failures = failures; failures == 0 {
			continue
		}
		different := map[time.Duration]bool{}
		for range 100 {
			got := w.nextDelay()
			if got < want || got > want+want/4 {
				t.Fatalf("after %d failures: got %v, want %v to a quarter more", failures, got, want)
			}
			different[got] = true
		}
		if len(different) < 2 {
			t.Errorf("after %d failures: always %v, want jitter", failures, w.nextDelay())
		}
	}
}
