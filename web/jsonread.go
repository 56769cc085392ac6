package web

import (
	"unicode/utf8"
)

// A scanner reads one JSON document strictly, in one pass and without building
// anything: a caller asks for what must come next. It takes less than
// encoding/json does: no invalid UTF-8, no lone surrogates, no field twice, no
// field that is not known, nothing after the document. The first error stays,
// and ends every loop.
type scanner struct {
	b   []byte
	i   int
	err error
	// keys is where the newest keys are, and room for more.
	keys []byte
}

// A text is a JSON string as it stands in the document, between its quotes.
type text struct {
	raw     []byte
	escaped bool
}

// fail notes what is wrong, with where it is, unless something was before.
func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = refuse(CodeBadJSON, "%s, at byte %d", what, s.i)
	}
}

// failWith notes err, unless something was wrong before.
func (s *scanner) failWith(err error) {
	if s.err == nil {
		s.err = err
	}
}

// peek returns the next byte that is not white space, 0 at the end or after an
// error.
func (s *scanner) peek() byte {
	if s.err != nil {
		return 0
	}
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// open reads the bracket that begins an object or array.
func (s *scanner) open(bracket byte) {
	if s.peek() != bracket {
		if bracket == '{' {
			s.fail("an object is wanted")
		} else {
			s.fail("an array is wanted")
		}
		return
	}
	s.i++
}

// more reports whether another element comes before the closing bracket, and
// reads what stands between: n is how many came before.
func (s *scanner) more(bracket byte, n int) bool {
	c := s.peek()
	switch {
	case s.err != nil:
		return false
	case c == bracket:
		s.i++
		return false
	case n == 0:
		return true
	case c != ',':
		s.fail("a comma or the end is wanted")
		return false
	}
	s.i++
	if s.peek() == bracket {
		s.fail("a comma has nothing behind it")
	}
	return s.err == nil
}

// field reads the name of a field, which must be one of names, and the colon,
// and returns the name's index; -1 after an error. seen has a bit for each
// name that was there.
func (s *scanner) field(names []string, seen *uint32) int {
	t := s.text()
	if s.err != nil {
		return -1
	}
	name := t.decode(nil)
	for i, n := range names {
		if string(name) != n {
			continue
		}
		if *seen&(1<<i) != 0 {
			s.fail("the field " + n + " is there twice")
			return -1
		}
		*seen |= 1 << i
		s.colon()
		return i
	}
	s.failWith(refuse(CodeBadJSON, "the field %.80q is not known here, at byte %d", name, s.i))
	return -1
}

func (s *scanner) colon() {
	if s.peek() != ':' {
		s.fail("a colon is wanted")
		return
	}
	s.i++
}

// end checks that nothing follows the document.
func (s *scanner) end() error {
	if s.peek() != 0 || s.err == nil && s.i < len(s.b) {
		s.fail("something follows the document")
	}
	return s.err
}

// literal reads one of the words true, false and null.
func (s *scanner) literal(word string) bool {
	s.peek()
	if s.err != nil || len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return false
	}
	s.i += len(word)
	return true
}

// null reads null, if it comes next.
func (s *scanner) null() bool { return s.literal("null") }

// bool reads true or false.
func (s *scanner) bool() bool {
	if s.literal("true") {
		return true
	}
	if !s.literal("false") {
		s.fail("true or false is wanted")
	}
	return false
}

// uint reads a number that is not negative and has neither fraction nor
// exponent.
func (s *scanner) uint() uint64 {
	c := s.peek()
	start, n := s.i, uint64(0)
	for ; s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9'; s.i++ {
		d := uint64(s.b[s.i] - '0')
		if n > (1<<64-1-d)/10 {
			s.fail("the number is too large")
			return 0
		}
		n = n*10 + d
	}
	wide := s.i - start
	if wide == 0 || wide > 1 && c == '0' || s.i < len(s.b) && (s.b[s.i] == '.' || s.b[s.i]|0x20 == 'e') {
		s.fail("a whole number is wanted")
	}
	return n
}

// text reads a string and checks it: its escapes, its surrogates, its UTF-8.
func (s *scanner) text() (t text) {
	if s.peek() != '"' {
		s.fail("a string is wanted")
		return t
	}
	s.i++
	start, ascii := s.i, true
	for s.i += ordinary(s.b[s.i:]); s.i < len(s.b); s.i += ordinary(s.b[s.i:]) {
		c := s.b[s.i]
		switch {
		case c == '"':
			t.raw = s.b[start:s.i]
			if !ascii && !utf8.Valid(t.raw) {
				s.fail("a string is not UTF-8")
			}
			s.i++
			return t
		case c == '\\':
			t.escaped = true
			if !s.escape() {
				s.fail("a string has a bad escape")
				return t
			}
			continue
		case c < 0x20:
			s.fail("a string has a raw control character")
			return t
		case c >= utf8.RuneSelf:
			ascii = false
		}
		s.i++
	}
	s.fail("a string has no end")
	return t
}

// escape reads one escape, or the two of a surrogate pair.
func (s *scanner) escape() bool {
	if s.i+1 >= len(s.b) {
		return false
	}
	switch s.b[s.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return true
	case 'u':
	default:
		return false
	}
	r := hex4(s.b[s.i:])
	if r < 0 || r >= 0xdc00 && r < 0xe000 {
		return false
	}
	s.i += 6
	if r >= 0xd800 && r < 0xdc00 {
		low := hex4(s.b[s.i:])
		s.i += 6
		return low >= 0xdc00 && low < 0xe000
	}
	return true
}

// hex4 returns the code unit of the \uXXXX that b begins with, or -1.
func hex4(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[2:6] {
		d := unhex(c)
		if d > 15 {
			return -1
		}
		r = r<<4 | rune(d)
	}
	return r
}

// decode returns the string that t stands for: t's own bytes if it has no
// escapes, else appended to dst.
func (t text) decode(dst []byte) []byte {
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

// string returns a copy of what t stands for.
func (t text) string() string { return string(t.decode(nil)) }

// duration reads a duration: a string, or a number of seconds.
func (s *scanner) duration() string {
	if c := s.peek(); c >= '0' && c <= '9' {
		start := s.i
		s.uint()
		return string(s.b[start:s.i])
	}
	return s.text().string()
}
