package wire_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"

	"keywatch/web/wire"
)

// If a frame were written otherwise, no client could read it. The lengths are
// those at which the header changes.
func TestAppend(t *testing.T) {
	for _, c := range []struct {
		n    int
		head string
	}{
		{0, "\x81\x00"}, {1, "\x81\x01"}, {125, "\x81\x7d"}, {126, "\x81\x7e\x00\x7e"}, {65535, "\x81\x7e\xff\xff"},
		{65536, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"}, {100000, "\x81\x7f\x00\x00\x00\x00\x00\x01\x86\xa0"},
	} {
		payload := strings.Repeat("abc", c.n/3+1)[:c.n]
		got := string(wire.Append([]byte("before"), wire.Text, []byte(payload)))
		if want := "before" + c.head + payload; got != want {
			t.Errorf("%d bytes: got %.30q, want %.30q", c.n, got, want)
		}
	}
}

// If a code that must not be on the wire were sent or taken, a strict peer would
// fail the connection.
func TestCloseCodes(t *testing.T) {
	for code := range 1 << 16 {
		valid := code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
		payload := binary.BigEndian.AppendUint16(nil, uint16(code))
		got, _, err := wire.ParseClose(payload)
		if valid && (err != nil || got != code) || !valid && (err == nil || err.Code != wire.CloseProtocol) {
			t.Errorf("code %d: got %d, %v", code, got, err)
		}
		if n := len(wire.AppendClose(nil, code, "")); valid && n != 4 || !valid && n != 2 {
			t.Errorf("code %d: a close frame of %d bytes", code, n)
		}
	}
}

// Without it a bad close frame would be answered as a good one.
func TestParseClose(t *testing.T) {
	for _, c := range []struct {
		payload string
		code    int
		reason  string
		fails   int
	}{
		{"", wire.CloseNoStatus, "", 0},
		{"\x03", 0, "", wire.CloseProtocol},
		{"\x03\xe8", 1000, "", 0},
		{"\x03\xe8bye", 1000, "bye", 0},
		{"\x03\xe8\xff", 0, "", wire.CloseNotUTF8},
		{"\x03\xe8\xce", 0, "", wire.CloseNotUTF8},
		{"\x03\xed", 0, "", wire.CloseProtocol},
	} {
		code, reason, err := wire.ParseClose([]byte(c.payload))
		if c.fails != 0 {
			if err == nil || err.Code != c.fails {
				t.Errorf("%q: got %v, want an error of %d", c.payload, err, c.fails)
			}
			continue
		}
		if err != nil || code != c.code || string(reason) != c.reason {
			t.Errorf("%q: got %d %q %v", c.payload, code, reason, err)
		}
	}
}

// A reason that is too long, or cut within a character, would break the frame.
func TestLongReason(t *testing.T) {
	b := wire.AppendClose(nil, 1000, strings.Repeat("\xce\xba", 100))
	reason := b[4:]
	if len(reason) != 122 || b[1] != 124 || !utf8.Valid(reason) {
		t.Errorf("got a reason of %d bytes in a frame of %d, valid %v", len(reason), b[1], utf8.Valid(reason))
	}
}
