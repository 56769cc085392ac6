package wire_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"keywatch/web/wire"
)

// client returns a frame as a client sends it. first is its first byte.
func client(first byte, payload string) string {
	return clientSized(first, payload, len(payload))
}

// clientSized is client with a length that may be a lie.
func clientSized(first byte, payload string, n int) string {
	b := []byte{first}
	switch {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i&3])
	}
	return string(b)
}

const (
	fin  = 0x80
	text = fin | 1
	bin  = fin | 2
)

// feed reads input in pieces of the given size and returns what came out, a line
// for each message, the last for an error.
func feed(input string, size, limit int) string {
	var r wire.Reader
	var out []string
	for len(input) > 0 {
		p := []byte(input[:min(size, len(input))])
		input = input[len(p):]
		for len(p) > 0 {
			m, n, err := r.Next(p, limit)
			if err != nil {
				return strings.Join(append(out, fmt.Sprint(err.Code)), " ")
			}
			if m.Op == wire.Text && !utf8.Valid(m.Payload) {
				panic("a text that is not UTF-8 came out")
			}
			if m.Op != 0 {
				out = append(out, fmt.Sprintf("%x:%s", int(m.Op), m.Payload))
			} else if n != len(p) {
				return "used too little"
			}
			p = p[n:]
		}
	}
	return strings.Join(out, " ")
}

// If one of these were read otherwise, a strict client and the server would
// disagree about what was said. The cases are those that the RFC distinguishes,
// each in pieces of every size.
func TestReader(t *testing.T) {
	const kappa = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
	long, longer := strings.Repeat("x", 126), strings.Repeat("y", 1<<16)
	for _, c := range []struct{ name, input, want string }{
		{"empty text", client(text, ""), "1:"},
		{"text", client(text, "hello"), "1:hello"},
		{"125 bytes", client(text, long[:125]), "1:" + long[:125]},
		{"126 bytes", client(text, long), "1:" + long},
		{"65535 bytes", client(text, longer[:65535]), "1:" + longer[:65535]},
		{"65536 bytes", client(text, longer), "1:" + longer},
		{"binary", client(bin, "\x00\xff"), "2:\x00\xff"},
		{"two messages", client(text, "a") + client(text, "b"), "1:a 1:b"},
		{"ping", client(fin|9, "?") + client(fin|9, ""), "9:? 9:"},
		{"ping of 125 bytes", client(fin|9, long[:125]), "9:" + long[:125]},
		{"ping of 126 bytes", client(fin|9, long), "1002"},
		{"pong nobody asked for", client(fin|10, "x") + client(text, "a"), "a:x 1:a"},
		{"close", client(fin|8, "\x03\xe8bye"), "8:\x03\xe8bye"},
		{"reserved bit 1", client(text|0x40, "a"), "1002"},
		{"reserved bit 2", client(text|0x20, "a"), "1002"},
		{"reserved bit 3", client(text|0x10, "a"), "1002"},
		{"reserved bit of a ping", client(fin|9|0x40, ""), "1002"},
		{"opcode 3", client(fin|3, ""), "1002"},
		{"opcode 7", client(fin|7, "x"), "1002"},
		{"opcode 11", client(fin|11, ""), "1002"},
		{"opcode 15", client(fin|15, ""), "1002"},
		{"after a message, opcode 5", client(text, "a") + client(fin|5, ""), "1:a 1002"},
		{"not masked", "\x81\x01a", "1002"},
		{"two fragments", client(1, "a") + client(fin, "b"), "1:ab"},
		{"empty fragments", client(1, "") + client(0, "") + client(fin, ""), "1:"},
		{"fragments of binary", client(2, "\xff") + client(fin, "\xfe"), "2:\xff\xfe"},
		{"ping between fragments", client(1, "a") + client(fin|9, "?") + client(0, "b") + client(fin|10, "!") + client(fin, "c"), "9:? a:! 1:abc"},
		{"close between fragments", client(1, "a") + client(fin|8, ""), "8:"},
		{"fragmented ping", client(9, "a") + client(fin, "b"), "1002"},
		{"fragmented close", client(8, "\x03\xe8"), "1002"},
		{"continuation of nothing", client(fin, "a"), "1002"},
		{"unfinished continuation of nothing", client(0, "a"), "1002"},
		{"continuation after the end", client(1, "a") + client(fin, "b") + client(fin, "c"), "1:ab 1002"},
		{"text inside a message", client(1, "a") + client(text, "b"), "1002"},
		{"binary inside a message", client(1, "a") + client(bin, "b"), "1002"},
		{"16 bits where 7 do", "\x81\xfe\x00\x7d\x00\x00\x00\x00", "1002"},
		{"64 bits where 16 do", "\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00", "1002"},
		{"the highest bit of a length", "\x82\xff\x80\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", "1002"},
		{"UTF-8", client(text, kappa), "1:" + kappa},
		{"UTF-8 cut within a character", client(1, kappa[:1]) + client(0, kappa[1:4]) + client(fin, kappa[4:]), "1:" + kappa},
		{"UTF-8 cut around a ping", client(1, kappa[:3]) + client(fin|9, "\xff") + client(fin, kappa[3:]), "9:\xff 1:" + kappa},
		{"half a character at the end", client(text, "a\xe1\xbd"), "1007"},
		{"half a character at the last fragment's end", client(1, "a") + client(fin, "\xe1\xbd"), "1007"},
		{"half a character, then an empty end", client(1, "\xe1\xbd") + client(fin, ""), "1007"},
		{"a surrogate", client(text, "\xed\xa0\x80"), "1007"},
		{"an overlong slash", client(text, "\xc0\xaf"), "1007"},
		{"beyond U+10FFFF", client(text, "\xf4\x90\x80\x80"), "1007"},
		{"the last character there is", client(text, "\xf4\x8f\xbf\xbf"), "1:\xf4\x8f\xbf\xbf"},
		{"a lone continuation byte", client(text, "\x80"), "1007"},
	} {
		for _, size := range []int{1, 2, 3, 5, 7, 16, 1000, 1 << 20} {
			if got := feed(c.input, size, 1<<20); got != c.want {
				t.Errorf("%s in pieces of %d: got %.60q, want %.60q", c.name, size, got, c.want)
			}
		}
	}
}

// Without it a text that cannot become valid would be kept until its end.
func TestReaderFailsFast(t *testing.T) {
	input := clientSized(text, "abc\xf4\x90", 1000)
	if got := feed(input, len(input), 1<<20); got != "1007" {
		t.Errorf("got %q before the text is complete, want 1007", got)
	}
	// The first fragment is bad, the message is not complete.
	if got := feed(client(1, "\xed\xa0"), 1, 1<<20); got != "1007" {
		t.Errorf("got %q for a bad fragment, want 1007", got)
	}
}

// Without it a client could make the server keep as much as it likes.
func TestReaderLimit(t *testing.T) {
	for _, c := range []struct{ input, want string }{
		{client(text, "12345678"), "1:12345678"},
		{client(text, "123456789"), "1009"},
		{clientSized(bin, "", 9), "1009"},
		{clientSized(bin, "", 1<<40), "1009"},
		{client(1, "1234") + client(fin, "5678"), "1:12345678"},
		{client(1, "1234") + clientSized(fin, "", 5), "1009"},
		{client(1, "1234") + client(fin|9, "longer than eight") + client(fin, "5"), "9:longer than eight 1:12345"},
	} {
		for _, size := range []int{1, 3, 1000} {
			if got := feed(c.input, size, 8); got != c.want {
				t.Errorf("%q in pieces of %d: got %q, want %q", c.input, size, got, c.want)
			}
		}
	}
}

// If a message that arrives whole were copied, each would cost an allocation.
func TestReaderDoesNotCopy(t *testing.T) {
	var r wire.Reader
	input := []byte(client(text, "hello"))
	work := make([]byte, len(input))
	if n := testing.AllocsPerRun(100, func() {
		copy(work, input)
		if m, _, err := r.Next(work, 100); err != nil || len(m.Payload) != 5 || &m.Payload[0] != &work[6] {
			t.Fatalf("got %v, %v", m, err)
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

// If a payload that is said to be owned were used again, a command would change
// while it runs.
func TestReaderGivesAway(t *testing.T) {
	var r wire.Reader
	var kept [][]byte
	for i := range 10 {
		input := []byte(client(1, fmt.Sprint("a", i)) + client(fin, fmt.Sprint("b", i)))
		for len(input) > 0 {
			m, n, err := r.Next(input[:1], 100)
			if err != nil {
				t.Fatal(err)
			}
			if input = input[n:]; m.Op != 0 {
				if !m.Owned {
					t.Fatal("a message that was put together is not owned")
				}
				kept = append(kept, m.Payload)
			}
		}
	}
	for i, got := range kept {
		if want := fmt.Sprint("a", i, "b", i); string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// If pieces of another size gave something else, what a command means would
// depend on the network.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		client(text, "hello") + client(fin|9, "?"), client(1, "a\xce") + client(fin, "\xba"),
		client(1, "a") + client(fin|8, "\x03\xe8") + client(fin, "b"), "\x81\x01a", client(text, "\xed\xa0\x80"),
	} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, input []byte, size uint8) {
		whole := feed(string(input), len(input)+1, 300)
		if got := feed(string(input), int(size)+1, 300); got != whole {
			t.Errorf("pieces of %d: got %q, at once %q", int(size)+1, got, whole)
		}
	})
}

// If masks went out of step, long messages would be garbled.
func TestReaderMasks(t *testing.T) {
	payload := make([]byte, 1000)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	for size := 1; size < 40; size++ {
		if got := feed(client(bin, string(payload)), size, 1<<20); got != "2:"+string(payload) {
			t.Fatalf("pieces of %d: a message was garbled", size)
		}
	}
}
