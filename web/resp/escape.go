package resp

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"keywatch/kv"
)

// A Redis key is any bytes, a stored key is not: see kv.CheckKey. Escaped, each byte that a stored key may
// not have, and each %, is %XX in hexadecimal, so that every name of up to kv.MaxKey bytes escaped has
// one stored key. A stored key that is no escaped name, such as a%zz, was written by another protocol:
// its name is itself behind strayMark, and no other name begins so. So each key has one name on each
// side, and each name one key.

const (
	// emptyKey is what the name without bytes is stored as.
	emptyKey = "%"
	// strayMark begins the names of stored keys that are no escaped names.
	strayMark = "%raw:"
)

// escaped returns the stored key of a name, which may be the name itself. It fails with a *kv.KeyError
// where the name has none; what it returns may still be too long.
func escaped(name []byte) ([]byte, error) {
	switch {
	case len(name) == 0:
		return []byte(emptyKey), nil
	case len(name) > kv.MaxKey+len(strayMark):
		return nil, kv.CheckKey(string(name))
	case !bytes.HasPrefix(name, []byte(strayMark)):
		return escape(name, false), nil
	}
	key := name[len(strayMark):]
	if unescaped(string(key)) != string(name) {
		return nil, &kv.KeyError{Key: string(name), Reason: "what follows " + strayMark + " has another name"}
	}
	return key, nil
}

// unescaped returns the name of a stored key, which may be the key itself.
func unescaped(key string) string {
	switch {
	case !strings.Contains(key, "%"):
		return key
	case key == emptyKey:
		return ""
	}
	name := unescape(key)
	if bytes.HasPrefix(name, []byte(strayMark)) || string(escape(name, false)) != key {
		return strayMark + key
	}
	return string(name)
}

// escape escapes name. With more set something follows it.
func escape(name []byte, more bool) []byte {
	if plain(name) {
		return name
	}
	b := make([]byte, 0, len(name)+len(name)/2+8)
	segment := 0 // where the segment of b begins that is being written
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRune(name[i:])
		empty, last := len(b) == segment, i+n == len(name) && !more
		switch {
		case r == '/' && !empty && !last:
			b = append(b, '/')
			segment = len(b)
		case r == '.' && empty && dots(name[i:], more) > 0:
			n = dots(name[i:], more)
			b = appendEscaped(b, name[i:i+n])
		case r == '/' || r == '%' || unprintable(r, n):
			b = appendEscaped(b, name[i:i+n])
		default:
			b = append(b, name[i:i+n]...)
		}
		i += n
	}
	return b
}

// plain reports whether a name is its own stored key, as most are that have only what is usual.
func plain(name []byte) bool {
	before := byte('/')
	for _, c := range name {
		if c < ' ' || c > '~' || c == '%' || c == '.' && before == '/' || c == '/' && before == '/' {
			return false
		}
		before = c
	}
	return before != '/'
}

// unprintable reports whether a stored key may not have a character, or the byte that is no part of one.
func unprintable(r rune, size int) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError && size == 1
}

// dots returns how many bytes a segment has that begins s, if it is "." or "..", else 0. A slash that ends
// the name ends no segment: it is escaped.
func dots(s []byte, more bool) int {
	for _, segment := range []string{".", ".."} {
		n := len(segment)
		rest, ok := bytes.CutPrefix(s, []byte(segment))
		switch {
		case !ok:
		case len(rest) == 0 && !more, len(rest) > 0 && rest[0] == '/' && (len(rest) > 1 || more):
			return n
		}
	}
	return 0
}

func appendEscaped(b, raw []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range raw {
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return b
}

// unescape returns key with each %XX as its byte.
func unescape(key string) []byte {
	b := make([]byte, 0, len(key))
	for i := 0; i < len(key); i++ {
		if c := key[i]; c != '%' || i+2 >= len(key) || nibble(key[i+1]) < 0 || nibble(key[i+2]) < 0 {
			b = append(b, c)
			continue
		}
		b = append(b, byte(nibble(key[i+1])<<4|nibble(key[i+2])))
		i += 2
	}
	return b
}

// nibble returns what a hexadecimal digit stands for, -1 for any other byte.
func nibble(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }

// escapedUnder returns what the stored keys begin with whose names begin with prefix. also, if not empty, is
// one more such key: the name that is prefix alone. Unless exact is set the stored keys of other names may
// begin so too.
func escapedUnder(prefix string) (stored, also string, exact bool) {
	switch {
	case strings.HasPrefix(strayMark, prefix):
		return "", "", prefix == ""
	case strings.HasPrefix(prefix, strayMark):
		return prefix[len(strayMark):], "", false
	}
	whole := settled(prefix)
	if whole != prefix {
		return string(escape([]byte(whole), true)), "", false
	}
	stored = string(escape([]byte(prefix), true))
	if strings.HasSuffix(stored, "/") {
		also = string(escape([]byte(prefix), false))
	}
	return stored, also, true
}

// settled returns prefix without an end whose escaping depends on what follows: part of a character, or of a
// segment that may be "." or "..".
func settled(prefix string) string {
	for n := 1; n < utf8.UTFMax && n <= len(prefix); n++ {
		if end := prefix[len(prefix)-n:]; utf8.RuneStart(end[0]) && !utf8.FullRuneInString(end) {
			prefix = prefix[:len(prefix)-n]
			break
		}
	}
	if i := strings.LastIndexByte(prefix, '/') + 1; prefix[i:] == "." || prefix[i:] == ".." {
		prefix = prefix[:i]
	}
	return prefix
}
