package api

import (
	"encoding/binary"
	"unsafe"
)

// Each byte of a word: its lowest and its highest bit.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// ordinary returns how many whole words b begins with whose bytes stand for
// themselves in a JSON string: ASCII, and neither controls, quotes nor
// backslashes. Eight bytes are looked at together, by the well-known test for a
// zero byte, which may see one too many but never one too few.
func ordinary(b []byte) (n int) {
	for ; len(b)-n >= 8; n += 8 {
		w := binary.LittleEndian.Uint64(b[n:])
		quote, slash := w^('"'*ones), w^('\\'*ones)
		if (w|(w-0x20*ones)|(quote-ones)|(slash-ones))&highs != 0 {
			break
		}
	}
	return n
}

// keyRoom is how many bytes of keys are allocated at once.
const keyRoom = 1 << 10

// Key reads a string and returns it as a key. Many keys lie in one piece of
// memory, which nothing else shares.
func (s *Scanner) Key() string {
	t := s.Text()
	if len(t.raw) > cap(s.keys)-len(s.keys) {
		s.keys = make([]byte, 0, max(len(t.raw), min(keyRoom, len(s.b)-s.i)))
	}
	start := len(s.keys)
	if t.escaped {
		s.keys = t.Decode(s.keys)
	} else {
		s.keys = append(s.keys, t.raw...)
	}
	key := s.keys[start:]
	return unsafe.String(unsafe.SliceData(key), len(key)) // never changed: only what follows is
}

// likely returns how many elements an array probably has, of which the first
// began at start and was just read: if all are as long as that one, and at most
// limit.
func (s *Scanner) likely(start, limit int) int {
	return min(limit, 1+(len(s.b)-s.i)/max(1, s.i-start))
}
