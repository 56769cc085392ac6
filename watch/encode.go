package watch

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"keywatch/kv"
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
		b = appendNumber(b, `,"skipped":`, uint64(m.Skipped))
	}
	if m.Kind == Bye {
		b = append(b, `,"code":`...)
		b = appendString(b, m.Code)
		b = appendNumber(b, `,"retry_ms":`, uint64(m.Retry.Milliseconds()))
	}
	return b
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
		b = append(b, `{"type":"delete","key":`...)
		b = appendString(b, key)
		b = append(b, `,"cause":"`...)
		b = append(b, e.Cause()...)
		b = append(b, '"')
		return appendVersion(b, e)
	}
	b = append(b, `{"type":"put","key":`...)
	b = appendString(b, key)
	if form == withValue {
		b = appendValue(b, e.Value())
	}
	b = appendVersion(b, e)
	if ttl := e.TTL(now); ttl > 0 {
		b = appendNumber(b, `,"ttl_ms":`, uint64(ttl))
	}
	return b
}

func appendVersion(b []byte, e *kv.Entry) []byte {
	b = appendNumber(b, `,"rev":`, uint64(e.Mod))
	b = appendNumber(b, `,"create_rev":`, uint64(e.Create))
	return appendNumber(b, `,"version":`, e.Version)
}

func appendNumber(b []byte, name string, n uint64) []byte {
	return strconv.AppendUint(append(b, name...), n, 10)
}

// appendValue appends a value as a string, or as base64 where it is not UTF-8.
func appendValue(b []byte, value string) []byte {
	b = append(b, `,"value":`...)
	if utf8.ValidString(value) {
		return appendString(b, value)
	}
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, []byte(value))
	return append(b, `","encoding":"base64"`...)
}

// appendString appends s, which is UTF-8, as a JSON string (RFC 8259). The line
// separators of JavaScript, U+2028 and U+2029, are escaped too.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c != 0xe2 {
			continue
		}
		if c == 0xe2 {
			if i+2 < len(s) && s[i+1] == 0x80 && s[i+2]|1 == 0xa9 {
				b = append(append(b, s[start:i]...), `\u202`...)
				b = append(b, hex[s[i+2]&0xf])
				start, i = i+3, i+2
			}
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
	}
	return append(append(b, s[start:]...), '"')
}
