package audit_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"keywatch/auth/audit"
	"keywatch/test/gate"
)

// read returns the events of a file.
func read(t *testing.T, path string) (all []audit.Event) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		var e audit.Event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			t.Fatalf("%q: %v", in.Text(), err)
		}
		all = append(all, e)
	}
	return all
}

// Events must be written in order and kept over a restart, in a file that only its owner can read.
func TestLogAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	for i := range 2 {
		l, err := audit.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for j := range 100 {
			l.Record(audit.Event{Operation: fmt.Sprint(i*100 + j)})
		}
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
		l.Record(audit.Event{Operation: "late"})
	}
	all := read(t, path)
	if len(all) != 200 {
		t.Fatalf("got %d events, want 200", len(all))
	}
	for i, e := range all {
		if e.Operation != fmt.Sprint(i) || e.Time.IsZero() {
			t.Errorf("event %d: got %+v", i, e)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info, err)
	}
}

// A full file must be put away, and no more than four be there.
func TestLogPutsFilesAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	for i := range 6 {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, audit.FileMax)); err != nil {
			t.Fatal(err)
		}
		l, err := audit.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		l.Record(audit.Event{Operation: fmt.Sprint(i)})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(path + "*")
	if err != nil || len(names) != 4 {
		t.Errorf("got files %q, %v, want 4", names, err)
	}
	if all := read(t, path); len(all) != 1 || all[0].Operation != "5" {
		t.Errorf("the newest file has %+v", all)
	}
}

// Denials beyond ten a second must be counted, not written; changes must all be written.
func TestDenialsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		l := audit.New(&out)
		for range 1000 {
			l.Denied(audit.Event{Operation: "GET key", Status: 403})
		}
		for range 50 {
			l.Record(audit.Event{Operation: "login"})
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		denied, left := strings.Count(out.String(), `"GET key"`), 0
		for line := range strings.Lines(out.String()) {
			var e audit.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			left += int(e.LeftOut)
		}
		if denied != 10 || left != 990 || strings.Count(out.String(), `"login"`) != 50 {
			t.Errorf("got %d denials and %d left out, want 10 and 990", denied, left)
		}
	})
}

// If this failed, one caller that is denied again and again would hide what others try; and if all of them
// were written, many addresses could fill the disk.
func TestDenialsOfOthersAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		l := audit.New(&out)
		for i := range 300 {
			l.Denied(audit.Event{Operation: "noise", Credential: "noisy", Address: "192.0.2.1"})
			l.Denied(audit.Event{Operation: "other", Address: fmt.Sprint("192.0.2.", i)})
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		noise, others := strings.Count(out.String(), `"noise"`), strings.Count(out.String(), `"other"`)
		if noise != 10 || others != 190 {
			t.Errorf("got %d denials of the noisy caller and %d of others, want 10 and 190", noise, others)
		}
	})
}

// A stuck is a disk that takes its time.
type stuck chan struct{}

func (s stuck) Write(b []byte) (int, error) { <-s; return len(b), nil }

// If this failed, an event loop that denies something would wait, with all its connections, for a slow
// disk behind those who must.
func TestDenialsNeverWait(t *testing.T) {
	disk := make(stuck)
	l := audit.New(disk)
	var full sync.WaitGroup
	for range 8 {
		full.Go(func() {
			for range 1000 {
				l.Record(audit.Event{Operation: "login"})
			}
		})
	}
	gate.Until(t, l.Full, "the queue is not full")
	denied := make(chan struct{})
	go func() {
		defer close(denied)
		for range 100 {
			l.Denied(audit.Event{Operation: "GET key"})
		}
	}()
	select {
	case <-denied:
	case <-gate.Context(t).Done():
		t.Error("a denial waits")
	}
	close(disk)
	full.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// A log that cannot be written must say so.
func TestLogFails(t *testing.T) {
	l := audit.New(full{})
	l.Record(audit.Event{Operation: "login"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Err(); err == nil || l.Written() != 0 {
		t.Errorf("got %v, %d written", err, l.Written())
	}
	var none *audit.Log
	none.Record(audit.Event{})
	if none.Err() != nil || none.Close() != nil {
		t.Error("a nil log fails")
	}
}
