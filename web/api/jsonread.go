package api

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"time"
	"unicode/utf8"

	"keywatch/watch"
)

// A Scanner reads one JSON document strictly, in one pass and without building
// anything: a caller asks for what must come next. It takes less than
// encoding/json does: no invalid UTF-8, no lone surrogates, no field twice, no
// field that is not known, nothing after the document. The first error stays,
// and ends every loop.
type Scanner struct {
	b   []byte
	i   int
	err error
	// keys is where the newest keys are, and room for more.
	keys []byte
}

// NewScanner returns a scanner of the document b, which must not be changed as
// long as a Text of it is used.
func NewScanner(b []byte) Scanner { return Scanner{b: b} }

// A FieldSet has a bit for each name of a list of fields.
type FieldSet uint64

// Has reports whether one of bits is in the set.
func (f FieldSet) Has(bits FieldSet) bool { return f&bits != 0 }

// Err returns the first error.
func (s *Scanner) Err() error { return s.err }

// Offset returns how many bytes were read.
func (s *Scanner) Offset() int { return s.i }

// Fail notes what is wrong, with where it is, unless something was before.
func (s *Scanner) Fail(what string) {
	if s.err == nil {
		s.err = Refuse(CodeBadJSON, "%s, at byte %d", what, s.i)
	}
}

// expected notes that the next value is not what it must be.
func (s *Scanner) expected(what string) { s.Fail("expected " + what + ", got " + s.got()) }

// got says what the next value is.
func (s *Scanner) got() string {
	switch c := s.Peek(); {
	case c == 0 && s.i >= len(s.b):
		return "the end"
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '"':
		return "a string"
	case c == '-' || c >= '0' && c <= '9':
		return "a number"
	case bytes.HasPrefix(s.b[s.i:], []byte("null")):
		return "null"
	case bytes.HasPrefix(s.b[s.i:], []byte("true")), bytes.HasPrefix(s.b[s.i:], []byte("false")):
		return "a boolean"
	default:
		return fmt.Sprintf("%.1q", s.b[s.i:])
	}
}

// FailWith notes err, unless something was wrong before.
func (s *Scanner) FailWith(err error) {
	if s.err == nil {
		s.err = err
	}
}

// Peek returns the next byte that is not white space, 0 at the end or after an
// error.
func (s *Scanner) Peek() byte {
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

// Open reads the bracket that begins an object or array.
func (s *Scanner) Open(bracket byte) {
	if s.Peek() != bracket {
		if bracket == '{' {
			s.expected("an object")
		} else {
			s.expected("an array")
		}
		return
	}
	s.i++
}

// More reports whether another element comes before the closing bracket, and
// reads what stands between: n is how many came before.
func (s *Scanner) More(bracket byte, n int) bool {
	c := s.Peek()
	switch {
	case s.err != nil:
		return false
	case c == bracket:
		s.i++
		return false
	case n == 0:
		return true
	case c != ',':
		s.Fail("expected a comma or the end")
		return false
	}
	s.i++
	if s.Peek() == bracket {
		s.Fail("trailing comma")
	}
	return s.err == nil
}

// Field reads the name of a field, which must be one of names, and the colon,
// and returns the name's index; -1 after an error. seen has a bit for each
// name that was there.
func (s *Scanner) Field(names []string, seen *FieldSet) int {
	t := s.Text()
	if s.err != nil {
		return -1
	}
	name := t.Decode(nil)
	for i, n := range names {
		if string(name) != n {
			continue
		}
		if *seen&(1<<i) != 0 {
			s.Fail("field \"" + n + "\" is repeated")
			return -1
		}
		*seen |= 1 << i
		s.Colon()
		return i
	}
	s.FailWith(Refuse(CodeBadJSON, "unknown field %.80q, at byte %d%s", name, s.i, DidYouMean(string(name), names)))
	return -1
}

// Colon reads a colon.
func (s *Scanner) Colon() {
	if s.Peek() != ':' {
		s.Fail("expected a colon")
		return
	}
	s.i++
}

// End checks that nothing follows the document.
func (s *Scanner) End() error {
	if s.Peek() != 0 || s.err == nil && s.i < len(s.b) {
		s.Fail("unexpected data after the document")
	}
	return s.err
}

// literal reads one of the words true, false and null.
func (s *Scanner) literal(word string) bool {
	s.Peek()
	if s.err != nil || len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return false
	}
	s.i += len(word)
	return true
}

// Null reads null, if it comes next.
func (s *Scanner) Null() bool { return s.literal("null") }

// Bool reads true or false.
func (s *Scanner) Bool() bool {
	if s.literal("true") {
		return true
	}
	if !s.literal("false") {
		s.expected("true or false")
	}
	return false
}

// Uint reads a number that is not negative and has neither fraction nor
// exponent.
func (s *Scanner) Uint() uint64 {
	c := s.Peek()
	start, n := s.i, uint64(0)
	for ; s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9'; s.i++ {
		d := uint64(s.b[s.i] - '0')
		if n > (1<<64-1-d)/10 {
			s.Fail("the number is too large")
			return 0
		}
		n = n*10 + d
	}
	wide := s.i - start
	if wide == 0 || wide > 1 && c == '0' || s.i < len(s.b) && (s.b[s.i] == '.' || s.b[s.i]|0x20 == 'e') {
		s.Fail("expected a whole number")
	}
	return n
}

// Int reads a whole number of 64 bits.
func (s *Scanner) Int() int64 {
	negative := s.Peek() == '-'
	if negative {
		s.i++
		if s.i >= len(s.b) || s.b[s.i] < '0' || s.b[s.i] > '9' {
			s.Fail("expected a whole number")
			return 0
		}
	}
	n := s.Uint()
	switch {
	case negative && n <= 1<<63:
		return int64(-n)
	case !negative && n < 1<<63:
		return int64(n)
	}
	s.Fail("the number is too large")
	return 0
}

// Text reads a string and checks it: its escapes, its surrogates, its UTF-8.
func (s *Scanner) Text() (t Text) {
	if s.Peek() != '"' {
		s.expected("a string")
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
				s.Fail("string is not valid UTF-8")
			}
			s.i++
			return t
		case c == '\\':
			t.escaped = true
			if !s.escape() {
				s.Fail("string has a malformed escape")
				return t
			}
			continue
		case c < 0x20:
			s.Fail("string has a control character that is not escaped")
			return t
		case c >= utf8.RuneSelf:
			ascii = false
		}
		s.i++
	}
	s.Fail("string is not closed")
	return t
}

// escape reads one escape, or the two of a surrogate pair.
func (s *Scanner) escape() bool {
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
	var unit [2]byte
	if _, err := hex.Decode(unit[:], b[2:6]); err != nil {
		return -1
	}
	return rune(unit[0])<<8 | rune(unit[1])
}

// Duration reads a duration: a string, or a number of seconds.
func (s *Scanner) Duration() string {
	if c := s.Peek(); c >= '0' && c <= '9' {
		start := s.i
		s.Uint()
		return string(s.b[start:s.i])
	}
	return s.Text().String()
}

// TTL reads a time to live: "keep", or a duration.
func (s *Scanner) TTL() time.Duration {
	text := s.Duration()
	if s.err != nil {
		return 0
	}
	d, err := ParseTTL(text)
	s.FailWith(err)
	return d
}

// Wait reads how long to wait.
func (s *Scanner) Wait() time.Duration {
	text := s.Duration()
	d, ok := ParseDuration(text)
	if s.err == nil && (!ok || d > MaxWait) {
		s.FailWith(Refuse(CodeBadDuration, "wait: expected a duration of at most %v, got %.80q", MaxWait, text))
	}
	return d
}

// TextOrNull reads a string, or null.
func (s *Scanner) TextOrNull() (t Text, null bool) {
	if s.Null() {
		return t, true
	}
	return s.Text(), false
}

// Texts reads an array of up to limit strings, so that a document cannot grow far beyond
// its size in memory.
func (s *Scanner) Texts(limit int) (texts []string) {
	s.Open('[')
	for n := 0; s.More(']', n); n++ {
		if n >= limit {
			s.FailWith(fmt.Errorf("%w: up to %d are allowed", watch.ErrRequestTooLarge, limit))
			return nil
		}
		texts = append(texts, s.Text().String())
	}
	return texts
}
