package audit_test

import (
	"encoding/json"
	"strings"
	"testing"

	"keywatch/auth/audit"
	"keywatch/test/gate"
)

// events returns the events in a text.
func events(t *testing.T, text string) (all []audit.Event) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e audit.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// over is the end of a write whose result is known.
var over = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// A write must be written down with its result, unless it changed nothing; one whose result is not known
// must hold up no other event, and be written down when the log is closed.
func TestWritesHaveResults(t *testing.T) {
	var out strings.Builder
	l := audit.New(&out)
	revised := func(rev uint64) func(*audit.Event, bool) bool {
		return func(e *audit.Event, known bool) bool {
			if e.Rev = rev; !known {
				e.Code = "unknown"
			}
			return rev > 0
		}
	}
	l.Write(audit.Event{Operation: "put"}, 1, over, revised(7))
	l.Write(audit.Event{Operation: "failed put"}, 1, over, revised(0))
	gate.Until(t, func() bool { return l.Written() == 1 }, "the write is not written down")
	l.Write(audit.Event{Operation: "slow put"}, 1, make(chan struct{}), revised(8))
	l.Record(audit.Event{Operation: "login"})
	gate.Until(t, func() bool { return l.Written() == 2 }, "the login waits for the write")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.Write(audit.Event{Operation: "late"}, 1, over, revised(9))
	all := events(t, out.String())
	if len(all) != 3 || all[0].Rev != 7 || all[1].Operation != "login" || all[2].Rev != 8 || all[2].Code != "unknown" {
		t.Errorf("got %s", out.String())
	}
}

// If this failed, callers could fill the memory with what they write, or wait for a slow disk. What is left
// out must be counted, and said by the next event.
func TestWritesAreBounded(t *testing.T) {
	for _, c := range []struct{ size, want int }{{1, 4097}, {1 << 20, 8}} {
		disk := make(stuck)
		l := audit.New(disk)
		started := make(chan struct{})
		pass := func(*audit.Event, bool) bool { return true }
		l.Write(audit.Event{}, 0, over, func(*audit.Event, bool) bool { close(started); return true })
		<-started
		l.Record(audit.Event{}) // one of both is being written now, and the disk is stuck
		for range 5000 {
			l.Write(audit.Event{}, c.size, over, pass)
		}
		if _, left := l.LeftOut(); left < uint64(5000-c.want) || left > uint64(5000-c.want+2) {
			t.Errorf("size %d: %d writes are left out of 5000, want all but some %d", c.size, left, c.want)
		}
		close(disk)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
