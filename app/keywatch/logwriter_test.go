package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// reader is where a log goes: it can be gone, or not read.
type reader struct {
	mu   sync.Mutex
	got  bytes.Buffer
	gone bool
	// stall, if not nil, blocks each write until it is closed.
	stall chan struct{}
}

func (r *reader) Write(b []byte) (int, error) {
	r.mu.Lock()
	gone, stall := r.gone, r.stall
	r.mu.Unlock()
	if stall != nil {
		<-stall
	}
	if gone {
		return 0, errors.New("broken pipe")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got.Write(b)
}

func (r *reader) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// If the end of its reader were an error of the log, or nothing told of what was lost,
// a server would end with its log reader, or a log would have holes that do not show.
func TestLogReaderGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(reader)
		l := newLogWriter(r)
		for i := range 5 {
			r.set(func() { r.gone = i > 0 && i < 4 })
			if n, err := fmt.Fprintf(l, "line %d\n", i); n != 7 || err != nil {
				t.Errorf("line %d: %d, %v; want it written", i, n, err)
			}
		}
		l.close(t.Context())
		if want := "line 0\nkeywatch: 3 log lines were lost here\nline 4\n"; r.got.String() != want {
			t.Errorf("got %q, want %q", r.got.String(), want)
		}
	})
}

// If a reader that does not read held up the writer, one stopped terminal would stop
// the server; if what waits had no bound, it would take its memory.
func TestLogReaderStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stall := make(chan struct{})
		r := &reader{stall: stall}
		l := newLogWriter(r)
		line := []byte(strings.Repeat("x", 1023) + "\n")
		began := time.Now()
		const lines = 2 * logQueueBytes / 1024
		for range lines {
			l.Write(line)
		}
		if took := time.Since(began); took != logWait {
			t.Errorf("%d lines took %v, want %v for the first alone", lines, took, logWait)
		}
		r.set(func() { r.stall = nil })
		close(stall)
		synctest.Wait()
		l.Write([]byte("last\n"))
		l.close(t.Context())
		lost := fmt.Sprintf("keywatch: %d log lines were lost here\n", lines/2)
		if want := strings.Repeat(string(line), lines/2-1); !strings.Contains(r.got.String(), lost) || !strings.HasSuffix(r.got.String(), "last\n") || len(r.got.String()) != len(want)+len(line)+len(lost)+len("last\n") {
			t.Errorf("got %d bytes, want %d lines, that %d were lost, and the last", r.got.Len(), lines/2, lines/2)
		}
	})
}

// If the end of a command waited for a reader that does not read, a signal would not
// end it.
func TestLogCloseStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stall := make(chan struct{})
		defer close(stall)
		l := newLogWriter(&reader{stall: stall})
		l.Write([]byte("never read\n"))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		began := time.Now()
		l.close(ctx)
		if took := time.Since(began); took != time.Minute+logClose {
			t.Errorf("it took %v, want the minute until the signal and %v", took, logClose)
		}
	})
}
