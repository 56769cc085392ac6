package ws

import (
	"log/slog"

	"keywatch/kv/trace"
	"keywatch/web/api"
)

// runTraced runs a command, and records it if it is sampled. A write ends with its result; a request
// for a lock ends here once it waits for it.
func (r *runner) runTraced(c *command) error {
	span := r.s.server.opts.Tracer.Start(nil)
	if span == nil {
		return c.op.run(r, c)
	}
	span.Name = "ws " + c.op.name
	if c.key != "" && span.Keys() {
		span.Set(slog.String("keywatch.key", c.key))
	}
	c.cmd.Span = span
	writes := len(r.writes)
	err := c.op.run(r, c)
	if len(r.writes) == writes {
		endSpan(span, err)
	}
	return err
}

// endSpan ends the span of a command, if there is one, that has failed with err, if at all.
func endSpan(span *trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil {
		f := api.FailureOf(err)
		span.Set(slog.String("keywatch.code", string(f.Code)))
		span.Failed = f.Code.Status() >= 500
	}
	span.End()
}
