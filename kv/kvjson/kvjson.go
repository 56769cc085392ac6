// Package kvjson writes entries as JSON (RFC 8259), for every protocol alike.
//
// A value that is UTF-8 is a string; any other is base64, and a field encoding
// says so. Everything appends to a buffer of the caller's and allocates nothing
// else. It is safe for concurrent use.
package kvjson

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"keywatch/kv"
)

// AppendEntry appends the members of an entry's object that are the same
// everywhere: key, value and encoding if value is set, rev, create_rev, version,
// and ttl_ms if the entry has a deadline. There are no braces around them. The
// key is as AppendKey has it; now is the log time, in milliseconds, that ttl_ms counts from.
func AppendEntry(b []byte, key string, e *kv.Entry, now int64, value bool) []byte {
	b = AppendKey(b, key)
	if value {
		b = AppendValue(append(b, ','), e.Value())
	}
	b = AppendVersion(append(b, ','), e)
	if ttl := e.TTL(now); ttl != 0 {
		b = AppendNumber(append(b, ','), "ttl_ms", uint64(ttl))
	}
	return b
}

// AppendKey appends the member key and, for bytes that are not UTF-8, which no stored key is,
// key_encoding.
func AppendKey(b []byte, key string) []byte {
	b = append(b, `"key":`...)
	if utf8.ValidString(key) {
		return appendText(b, key)
	}
	b = base64.StdEncoding.AppendEncode(append(b, '"'), []byte(key))
	return append(b, `","key_encoding":"base64"`...)
}

// AppendVersion appends the members rev, create_rev and version.
func AppendVersion(b []byte, e *kv.Entry) []byte {
	b = AppendNumber(b, "rev", uint64(e.Mod))
	b = AppendNumber(append(b, ','), "create_rev", uint64(e.Create))
	return AppendNumber(append(b, ','), "version", e.Version)
}

// AppendValue appends the member value and, for bytes that are not UTF-8,
// encoding.
func AppendValue(b []byte, value string) []byte {
	b = append(b, `"value":`...)
	if utf8.ValidString(value) {
		return appendText(b, value)
	}
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, []byte(value))
	return append(b, `","encoding":"base64"`...)
}

// AppendNumber appends the member name, which needs no escapes, with the value n.
func AppendNumber(b []byte, name string, n uint64) []byte {
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, `":`...)
	return strconv.AppendUint(b, n, 10)
}
