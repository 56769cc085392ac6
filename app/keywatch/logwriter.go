package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"keywatch/kv/wake"
)

const (
	// logQueueBytes bounds what waits for a reader that does not read.
	logQueueBytes = 1 << 20
	// logWait is how long a line waits to be written before the reader counts as
	// stalled. Until it reads again no line waits.
	logWait = 100 * time.Millisecond
	// logClose bounds the wait for what is left once the command was told to end.
	logClose = time.Second
)

// logWriter writes what a command has to say beside its results: the log of
// serve, the messages of the others. It never ends a command and never holds it
// up. When the reader is gone lines are dropped; when it does not read, lines
// wait up to logQueueBytes and further ones are dropped. The next line that can be
// written is preceded by one that says how many were lost. It is safe for
// concurrent use.
type logWriter struct {
	w io.Writer
	// lost returns the line that tells of n lost lines.
	lost func(n int) []byte
	// wake says that there are lines to write, or no more to come.
	wake wake.Chan
	// ended is closed when no more is written.
	ended chan struct{}

	mu struct {
		sync.Mutex
		lines   [][]byte
		bytes   int
		dropped int
		stalled bool
		closed  bool
		drained chan struct{} // closed when lines is empty; nil if it is
	}
}

// newLogWriter starts a writer to w. Close it.
func newLogWriter(w io.Writer) *logWriter {
	l := &logWriter{w: w, wake: wake.New(), ended: make(chan struct{})}
	l.lost = func(n int) []byte { return fmt.Appendf(nil, "keywatch: %d log lines were lost here\n", n) }
	go l.run()
	return l
}

// Write takes one line or several. It always succeeds.
func (l *logWriter) Write(line []byte) (int, error) {
	if len(line) == 0 {
		return 0, nil
	}
	if drained := l.add(bytes.Clone(line)); drained != nil {
		timer := time.NewTimer(logWait)
		defer timer.Stop()
		select {
		case <-drained:
		case <-timer.C:
			l.mu.Lock()
			l.mu.stalled = true
			l.mu.Unlock()
		}
	}
	return len(line), nil
}

// add puts a line into the queue, or drops it. It returns what to wait for, nil
// if the reader is stalled.
func (l *logWriter) add(line []byte) (drained chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed || l.mu.bytes+len(line) > logQueueBytes {
		l.mu.dropped++
		return nil
	}
	l.mu.lines = append(l.mu.lines, line)
	l.mu.bytes += len(line)
	if l.mu.drained == nil {
		l.mu.drained = make(chan struct{})
	}
	l.wake.Wake()
	if l.mu.stalled {
		return nil
	}
	return l.mu.drained
}

// run writes lines until the writer is closed and none is left.
func (l *logWriter) run() {
	defer close(l.ended)
	for {
		<-l.wake
		for line := l.next(); line != nil; line = l.next() {
			l.write(line)
		}
		if l.done() {
			return
		}
	}
}

// done reports whether the writer is closed: next found no line after the last one that
// was written.
func (l *logWriter) done() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.closed && len(l.mu.lines) == 0
}

// next returns the line to write, which stays the first until it is written.
func (l *logWriter) next() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mu.lines) > 0 {
		return l.mu.lines[0]
	}
	l.mu.lines, l.mu.stalled = nil, false
	if l.mu.drained != nil {
		close(l.mu.drained)
		l.mu.drained = nil
	}
	return nil
}

// write writes the first line of the queue and removes it.
func (l *logWriter) write(line []byte) {
	l.mu.Lock()
	dropped := l.mu.dropped
	l.mu.Unlock()
	out := line
	if dropped > 0 {
		out = append(l.lost(dropped), line...)
	}
	_, err := l.w.Write(out)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.lines, l.mu.bytes = l.mu.lines[1:], l.mu.bytes-len(line)
	if err != nil {
		l.mu.dropped++
	} else {
		l.mu.dropped -= dropped
	}
}

// close waits until all lines are written, and logClose at most once ctx has
// ended. Later lines are dropped. It may be called once.
func (l *logWriter) close(ctx context.Context) {
	l.mu.Lock()
	l.mu.closed = true
	l.mu.Unlock()
	l.wake.Wake()
	select {
	case <-l.ended:
		return
	case <-ctx.Done():
	}
	select {
	case <-l.ended:
	case <-time.After(logClose):
	}
}
