package watch

import (
	"strconv"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvjson"
)

// A Form is a way to write messages on a wire.
type Form uint8

const (
	// SSE is text/event-stream with an event line for each message.
	SSE Form = iota
	// SSEUnnamed is SSE without event lines.
	SSEUnnamed
	// NDJSON is one JSON object a line.
	NDJSON
)

// Append appends m in form f to b. A body that other watchers need too is
// encoded once and shared.
func (f Form) Append(b []byte, m *Message) []byte {
	if f == NDJSON {
		b = m.appendOpen(b)
		if m.HasAt {
			b = append(b, `,"pos":"`...)
			b = append(m.At.AppendTo(b), '"')
		}
		return append(b, "}\n"...)
	}
	if m.Kind == Bye {
		b = AppendRetry(b, m.Retry)
	}
	if f == SSE {
		b = append(b, "event: "...)
		b = append(b, m.Kind.String()...)
		b = append(b, '\n')
	}
	b = append(b, "data: "...)
	b = append(m.appendOpen(b), "}\n"...)
	if m.HasAt {
		b = append(b, "id: "...)
		b = append(m.At.AppendTo(b), '\n')
	}
	return append(b, '\n')
}

// AppendRetry appends the SSE line that asks a client to wait for d, in whole
// milliseconds, before it reconnects.
func AppendRetry(b []byte, d time.Duration) []byte {
	b = append(b, "retry: "...)
	b = strconv.AppendInt(b, d.Milliseconds(), 10)
	return append(b, '\n')
}

// appendOpen appends the JSON object of m without its closing brace, so that
// fields can follow.
func (m *Message) appendOpen(b []byte) []byte {
	switch {
	case m.rec != nil:
		b = m.rec.appendBody(b, m.form)
	case m.Entry != nil:
		b = appendBody(b, m.Key, m.Entry, m.Time, m.form)
	default:
		b = append(b, `{"type":"`...)
		b = append(b, m.Kind.String()...)
		b = append(b, '"')
	}
	if m.Skipped > 0 {
		b = kvjson.AppendNumber(append(b, ','), "skipped", uint64(m.Skipped))
	}
	if m.Kind == Denied && m.Code != "" {
		b = kvjson.AppendString(append(b, `,"code":`...), m.Code)
	}
	if m.Kind == Bye {
		b = append(b, `,"code":`...)
		b = kvjson.AppendString(b, m.Code)
		b = kvjson.AppendNumber(append(b, ','), "retry_ms", uint64(m.Retry.Milliseconds()))
		b = appendEndpoints(b, m.Endpoints)
	}
	return b
}

// appendEndpoints appends the field of a Bye that names other servers, if there are any.
func appendEndpoints(b []byte, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, `,"endpoints":[`...)
	for i, url := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = kvjson.AppendString(b, url)
	}
	return append(b, ']')
}

// A bodyForm is a variant of an event's encoded body.
type bodyForm uint8

const (
	withValue bodyForm = iota
	withoutValue
	bodyForms
)

// appendBody appends the body, which is shared from the second caller on: most
// events are for one watcher, or for many. Two who come at once may both encode;
// one result is kept.
func (r *record) appendBody(b []byte, form bodyForm) []byte {
	place := &r.bodies[form]
	have := place.Load()
	switch {
	case have == nil && place.CompareAndSwap(nil, once):
	case have == sealed:
	case have == nil || have == once:
		body := appendBody(make([]byte, 0, r.bodySize()), r.Key, r.Entry, r.Time, form)
		place.CompareAndSwap(once, &body)
		return append(b, body...)
	default:
		return append(b, *have...)
	}
	return appendBody(b, r.Key, r.Entry, r.Time, form)
}

// appendBody appends the JSON object of a change without its closing brace.
func appendBody(b []byte, key string, e *kv.Entry, now int64, form bodyForm) []byte {
	if e.Deleted() {
		b = kvjson.AppendKey(append(b, `{"type":"delete",`...), key)
		b = append(b, `,"cause":"`...)
		b = append(b, e.Cause()...)
		return kvjson.AppendVersion(append(b, `",`...), e)
	}
	b = append(b, `{"type":"put",`...)
	return kvjson.AppendEntry(b, key, e, now, form == withValue)
}
