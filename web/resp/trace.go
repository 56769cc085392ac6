package resp

import (
	"strings"

	"keywatch/kv/trace"
)

// startSpan begins the span of a command, if it is sampled. Clients of Redis cannot say which trace
// a command is a part of.
func (s *session) startSpan(cmd *command) {
	if s.span = s.server.opts.Tracer.Start(nil); s.span != nil {
		s.span.Name = "resp " + strings.ToLower(cmd.name)
	}
}

// takeSpan returns the span of the command that runs, for what ends it later; nil if there is none.
func (s *session) takeSpan() *trace.Span {
	span := s.span
	s.span = nil
	return span
}

// endSpan ends a span, if there is one, with the error that the command has failed with, if any.
func endSpan(span *trace.Span, err error) {
	if span == nil {
		return
	}
	span.Failed = err != nil
	span.End()
}
