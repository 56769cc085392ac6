package main

import (
	"fmt"
	"io"
	"time"
)

// progress shows on a terminal how much has passed through.
type progress struct {
	out     io.Writer
	shown   bool
	total   int64 // 0 if not known
	n       int64
	started time.Time
	last    time.Time
}

// newProgress shows progress to a person, if one looks on. It writes past the log
// writer: a line that is drawn over must not come late.
func (s *session) newProgress(total int64) *progress {
	return &progress{out: s.stderr.file, shown: isTerminal(s.stderr.file), total: total, started: time.Now()}
}

// Write counts, and redraws the line five times a second.
func (p *progress) Write(b []byte) (int, error) {
	p.n += int64(len(b))
	if p.shown && time.Since(p.last) > 200*time.Millisecond {
		p.last = time.Now()
		p.draw()
	}
	return len(b), nil
}

func (p *progress) draw() {
	rate := float64(p.n) / max(time.Since(p.started).Seconds(), 1e-3)
	total := ""
	if p.total > 0 {
		total = fmt.Sprintf(" of %s, %d%%", sizeText(p.total), min(100, 100*p.n/p.total))
	}
	fmt.Fprintf(p.out, "\r%s%s, %s/s\x1b[K", sizeText(p.n), total, sizeText(int64(rate)))
}

// end wipes the line.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
