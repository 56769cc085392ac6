package api

import (
	"encoding/base64"
	"unicode/utf8"
)

// A Text is a JSON string as it stands in its document, between its quotes, and
// shares memory with it. The zero Text is none.
type Text struct {
	raw     []byte
	escaped bool
}

// Given reports whether there is a string, which may be empty.
func (t Text) Given() bool { return t.raw != nil }

// Decode returns the string that t stands for: t's own bytes if it has no
// escapes, else appended to dst.
func (t Text) Decode(dst []byte) []byte {
	if !t.escaped {
		return t.raw
	}
	b := t.raw
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			dst = append(dst, b[i])
			continue
		}
		i++
		if b[i] != 'u' {
			dst = append(dst, unescaped(b[i]))
			continue
		}
		r := hex4(b[i-1:])
		i += 4
		if r >= 0xd800 && r < 0xdc00 {
			r = 0x10000 + (r-0xd800)<<10 + (hex4(b[i+1:]) - 0xdc00)
			i += 6
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// String returns a copy of what t stands for.
func (t Text) String() string { return string(t.Decode(nil)) }

// Value returns the bytes that t stands for, under the encoding that the document
// gives, if it gives one. They may share memory with the document.
func (t Text) Value(encoding Text) ([]byte, error) {
	if !encoding.Given() {
		return t.Decode(nil), nil
	}
	if name := encoding.Decode(nil); string(name) != "base64" {
		return nil, Refuse(CodeBadValue, "encoding: expected base64, got %.80q", name)
	}
	src := t.Decode(nil)
	dst := make([]byte, base64.StdEncoding.DecodedLen(len(src)))
	for _, c := range src {
		if c == '\r' || c == '\n' { // which the decoder would pass over
			return nil, Refuse(CodeBadValue, "the value is not valid base64")
		}
	}
	n, err := base64.StdEncoding.Strict().Decode(dst, src)
	if err != nil {
		return nil, Refuse(CodeBadValue, "the value is not valid base64")
	}
	return dst[:n], nil
}
