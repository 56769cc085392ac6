package trace

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// MaxParts is how many parts [Begin] begins of one span: a request that reads a thousand values from
// object storage says all with the first.
const MaxParts = 64

// An ID names a trace, a SpanID a span of it. The zero value is none.
type (
	ID     [16]byte
	SpanID [8]byte
)

// A Span is one part of a trace. It belongs to who has started it until End; Add may be called by
// anyone at any time, and what comes from a tracer is read only. Nothing of a nil Span may be
// called: it is that of a request that is not sampled.
type Span struct {
	tracer *Tracer
	// Trace is what it is a part of, ID its own, Parent the span that it is a part of; the zero
	// SpanID for the first of a trace.
	Trace  ID
	ID     SpanID
	Parent SpanID
	// Remote says that Parent is a span of the caller, Request that this one is a whole request.
	Remote, Request bool
	Name            string
	Began, Ended    time.Time
	// Attrs are at most a few, of strings and integers.
	Attrs []slog.Attr
	// Failed says that it ended with an error of the server's.
	Failed bool

	begun atomic.Int32 // parts, by Begin
}

// Keys reports whether names of keys may be recorded.
func (s *Span) Keys() bool { return s.tracer.opts.Keys }

// Set adds attributes.
func (s *Span) Set(attrs ...slog.Attr) { s.Attrs = append(s.Attrs, attrs...) }

// End records s, which must not be changed any more.
func (s *Span) End() {
	s.Ended = time.Now()
	s.tracer.keep(s)
}

// Fail says that s ends with an error of a type, such as "tier_unavailable"; empty for none.
func (s *Span) Fail(errorType string) {
	if errorType != "" {
		s.Failed = true
		s.Set(slog.String("error.type", errorType))
	}
}

// part returns a part of s that begins now.
func (s *Span) part(name string) *Span {
	return &Span{tracer: s.tracer, Trace: s.Trace, ID: newSpanID(), Parent: s.ID, Name: name, Began: time.Now()}
}

// Add records a part of s, which may have ended before, and returns it. Nothing may be changed of
// it but parts be added.
func (s *Span) Add(name string, began, ended time.Time, attrs ...slog.Attr) *Span {
	part := s.part(name)
	part.Began, part.Ended, part.Attrs = began, ended, attrs
	s.tracer.keep(part)
	return part
}
