package web

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"keywatch/kv"
)

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD; the separators U+2028 and U+2029 are escaped, as JavaScript wants.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			b = appendEscape(append(b, s[start:i]...), c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == 0x2028 || r == 0x2029 {
			b = append(b, s[start:i]...)
			b = append(b, `\u`...)
			b = append(b, hexDigits[r>>12&0xf], hexDigits[r>>8&0xf], hexDigits[r>>4&0xf], hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}

// appendValue appends the fields value and, for bytes that are not UTF-8,
// encoding.
func appendValue(b []byte, value string) []byte {
	b = append(b, `"value":`...)
	if utf8.ValidString(value) {
		return appendString(b, value)
	}
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, lend(value))
	return append(b, `","encoding":"base64"`...)
}

// appendEntry appends the object of a version, with its value if value is set.
// now is the log time that its TTL counts from.
func appendEntry(b []byte, key string, e *kv.Entry, now int64, value bool) []byte {
	return append(appendEntryFields(append(b, '{'), key, e, now, value), '}')
}

func appendEntryFields(b []byte, key string, e *kv.Entry, now int64, value bool) []byte {
	b = appendString(append(b, `"key":`...), key)
	if value {
		b = appendValue(append(b, ','), e.Value())
	}
	b = appendNumber(append(b, ','), "rev", uint64(e.Mod))
	b = appendNumber(append(b, ','), "create_rev", uint64(e.Create))
	b = appendNumber(append(b, ','), "version", e.Version)
	if ttl := e.TTL(now); ttl != 0 {
		b = appendNumber(append(b, ','), "ttl_ms", uint64(ttl))
	}
	if id := e.Lease(); id != (kv.LeaseID{}) {
		b = id.AppendTo(append(b, `,"lease":"`...))
		b = append(b, '"')
	}
	b = append(b, `,"tier":"`...)
	return append(append(b, e.Tier().String()...), '"')
}

// appendNumber appends the field name with the value n.
func appendNumber(b []byte, name string, n uint64) []byte {
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, `":`...)
	return strconv.AppendUint(b, n, 10)
}

// appendPutResult appends the fields of a put's result.
func appendPutResult(b []byte, e *kv.Entry) []byte {
	b = appendNumber(b, "rev", uint64(e.Mod))
	b = appendNumber(append(b, ','), "version", e.Version)
	b = append(b, `,"created":`...)
	return strconv.AppendBool(b, e.Version == 1)
}

// appendPosition appends the field position.
func appendPosition(b []byte, at kv.Position) []byte {
	b = append(b, `"position":"`...)
	return append(at.AppendTo(b), '"')
}
