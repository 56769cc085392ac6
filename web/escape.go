package web

import (
	"bytes"
	"unsafe"
)

// unescape decodes %XX in src, and '+' as a space if plus is set. It returns
// src itself if there is nothing to decode; otherwise it appends to dst. It
// reports false for a '%' that two hexadecimal digits do not follow.
func unescape(dst, src []byte, plus bool) ([]byte, bool) {
	if bytes.IndexByte(src, '%') < 0 && (!plus || bytes.IndexByte(src, '+') < 0) {
		return src, true
	}
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch {
		case c == '+' && plus:
			c = ' '
		case c == '%':
			if i+2 >= len(src) || unhex(src[i+1]) > 15 || unhex(src[i+2]) > 15 {
				return nil, false
			}
			c = unhex(src[i+1])<<4 | unhex(src[i+2])
			i += 2
		}
		dst = append(dst, c)
	}
	return dst, true
}

// unhex returns the value of a hexadecimal digit, 255 for any other byte.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// borrow returns b as a string without copying it. The string is good only as
// long as b is not changed: within the handler, and never in what is kept.
func borrow(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

// lend returns the bytes of s without copying them. They must not be changed.
func lend(s string) []byte {
	if s == "" {
		return nil
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}
