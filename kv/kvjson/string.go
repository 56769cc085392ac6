package kvjson

import "unicode/utf8"

// AppendString appends s as a JSON string. Each byte that is not UTF-8 becomes
// U+FFFD. The line separators of JavaScript, U+2028 and U+2029, are escaped too.
func AppendString(b []byte, s string) []byte {
	if utf8.ValidString(s) {
		return appendText(b, s)
	}
	b = append(b, '"')
	for s != "" {
		n := validPrefix(s)
		b = appendEscaped(b, s[:n])
		if s = s[n:]; s != "" {
			b = append(b, `\ufffd`...)
			s = s[1:]
		}
	}
	return append(b, '"')
}

// validPrefix returns how many bytes s begins with that are UTF-8.
func validPrefix(s string) int {
	for i, r := range s {
		if _, size := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 {
			return i
		}
	}
	return len(s)
}

// appendText appends s, which is UTF-8, as a JSON string.
func appendText(b []byte, s string) []byte {
	return append(appendEscaped(append(b, '"'), s), '"')
}

// verbatim has the bytes that stand for themselves in a JSON string. 0xe2 begins the
// line separators, among others.
var verbatim = func() (ok [256]bool) {
	for c := range ok {
		ok[c] = c >= 0x20 && c != '"' && c != '\\' && c != 0xe2
	}
	return ok
}()

// appendEscaped appends s, which is UTF-8, as it stands within a JSON string.
func appendEscaped(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if verbatim[c] {
			continue
		}
		if c != 0xe2 {
			b = appendEscape(append(b, s[start:i]...), c)
			start = i + 1
		} else if i+2 < len(s) && s[i+1] == 0x80 && s[i+2]|1 == 0xa9 { // U+2028, U+2029
			b = append(append(b, s[start:i]...), `\u202`...)
			b = append(b, hexDigits[s[i+2]&0xf])
			start, i = i+3, i+2
		}
	}
	return append(b, s[start:]...)
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
