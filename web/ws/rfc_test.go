package ws_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"keywatch/web/ws/wstest"
)

// Bytes that client frames begin with: FIN and an opcode.
const (
	framePing  = 0x89
	framePong  = 0x8a
	frameClose = 0x88
)

const (
	askPing  = `{"id":1,"op":"ping"}`
	toldPong = "\x81" + `{"id":1,"ok":true,"position":"7f3a9c21-0"}`
)

// A dialog is what a client says and is answered. code is that of the close frame
// at the end, 0 if the socket lives on.
type dialog struct {
	name string
	says []string
	want []string
	code int
}

func closing(code uint16, reason string) string {
	return wstest.Masked(frameClose, string([]byte{byte(code >> 8), byte(code)})+reason)
}

// unmasked returns a frame as no client may send it.
func unmasked(first byte, payload string) string {
	return string([]byte{first, byte(len(payload))}) + payload
}

// cut returns text in frames of n bytes each, a ping after every one but the last.
func cut(text string, n int) (frames, pongs []string) {
	first := byte(0x01)
	for len(text) > n {
		frames = append(frames, wstest.Masked(first, text[:n]), wstest.Masked(framePing, fmt.Sprint(len(pongs))))
		pongs = append(pongs, "\x8a"+fmt.Sprint(len(pongs)))
		first, text = 0, text[n:]
	}
	return append(frames, wstest.Masked(0x80|first, text)), pongs
}

// dialogs are the cases that RFC 6455 distinguishes.
func dialogs() (all []dialog) {
	add := func(name string, says, want []string, code int) {
		all = append(all, dialog{name, says, want, code})
	}
	ping, pong := wstest.Masked(framePing, "before"), "\x8abefore"
	for _, n := range []int{0, 1, 125} {
		payload := strings.Repeat("\xff", n)
		add(fmt.Sprintf("ping of %d bytes", n), []string{wstest.Masked(framePing, payload)}, []string{"\x8a" + payload}, 0)
	}
	for op, name := range map[byte]string{framePing: "ping", framePong: "pong", frameClose: "close"} {
		add(name+" of 126 bytes", []string{ping, wstest.Masked(op, strings.Repeat("a", 126))}, []string{pong}, 1002)
		add(name+" in fragments", []string{ping, wstest.Masked(op&0xf, "a"), wstest.Masked(0x80, "b")}, []string{pong}, 1002)
		add(name+" without a mask", []string{ping, unmasked(op, "")}, []string{pong}, 1002)
		add(name+" with a reserved bit", []string{ping, wstest.Masked(op|0x20, "")}, []string{pong}, 1002)
	}
	add("text without a mask", []string{unmasked(0x81, askPing)}, nil, 1002)
	add("pings in a row", []string{wstest.Masked(framePing, "1"), wstest.Masked(framePing, "2"), wstest.Masked(framePing, "3")}, []string{"\x8a1", "\x8a2", "\x8a3"}, 0)
	add("pongs that nobody asked for", []string{wstest.Masked(framePong, ""), wstest.Masked(framePong, "x")}, nil, 0)
	for bits := byte(1); bits < 8; bits++ {
		add(fmt.Sprintf("reserved bits %03b", bits), []string{ping, wstest.Masked(0x81|bits<<4, askPing)}, []string{pong}, 1002)
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		add(fmt.Sprintf("opcode %d", op), []string{ping, wstest.Masked(0x80|op, "")}, []string{pong}, 1002)
		add(fmt.Sprintf("opcode %d in a message", op), []string{wstest.Masked(0x01, "{"), wstest.Masked(0x80|op, "")}, nil, 1002)
	}
	for _, n := range []int{1, 2, 7} {
		says, pongs := cut(askPing, n)
		add(fmt.Sprintf("fragments of %d bytes", n), says, append(pongs, toldPong), 0)
	}
	add("empty fragments", []string{wstest.Masked(0x01, ""), wstest.Masked(0x00, ""), wstest.Masked(0x00, askPing), wstest.Masked(0x80, "")}, []string{toldPong}, 0)
	add("a continuation of nothing", []string{wstest.Masked(0x80, "a")}, nil, 1002)
	add("text in a text", []string{wstest.Masked(0x01, "{"), wstest.Masked(0x81, askPing)}, nil, 1002)
	add("binary in a text", []string{wstest.Masked(0x01, "{"), wstest.Masked(0x82, "a")}, nil, 1002)
	add("a close in a message", []string{wstest.Masked(0x01, "{"), closing(1000, "")}, nil, 1000)
	all = append(all, textDialogs()...)
	return append(all, closeDialogs()...)
}

// badTexts are no UTF-8; their first hopeful bytes could still become some.
var badTexts = []struct {
	name, text string
	hopeful    int
}{
	{"a surrogate", "\xed\xa0\x80", 1}, {"overlong", "\xc0\xaf", 0}, {"overlong in three", "\xe0\x80\xaf", 1},
	{"overlong in four", "\xf0\x80\x80\xaf", 1}, {"too far", "\xf4\x90\x80\x80", 1}, {"five bytes", "\xf8\x88\x80\x80\x80", 0},
	{"a lone end", "\x80", 0}, {"FE", "\xfe", 0}, {"a start twice", "\xce\xce", 1}, {"a break", "\xe1\xbda", 2},
}

// textDialogs are about UTF-8. What cannot become any is refused before the
// message has ended.
func textDialogs() (all []dialog) {
	for _, bad := range badTexts {
		all = append(all, dialog{"bad text, " + bad.name, []string{wstest.Masked(0x81, "\xce\xba"+bad.text)}, nil, 1007})
		for i := range len(bad.text) {
			d := dialog{name: fmt.Sprintf("bad text, %s, cut at %d and never ended", bad.name, i), code: 1007}
			d.says = []string{wstest.Masked(0x01, "\xce\xba"+bad.text[:i]), wstest.Masked(framePing, "\xff"), wstest.Masked(0x00, bad.text[i:])}
			if i <= bad.hopeful {
				d.want = []string{"\x8a\xff"}
			}
			all = append(all, d)
		}
	}
	all = append(all, dialog{"half a character", []string{wstest.Masked(0x81, "a\xce")}, nil, 1007},
		dialog{"half a character, then an empty end", []string{wstest.Masked(0x01, "\xce"), wstest.Masked(framePing, ""), wstest.Masked(0x80, "")}, []string{"\x8a"}, 1007})
	put := `{"id":1,"op":"put","key":"é","value":"κόσμε\u2028😀"}`
	says, pongs := cut(put, 1)
	return append(all, dialog{"good text, each byte in a frame", says, append(pongs, "\x81"+`{"id":1,"ok":true,`), 0})
}

// closeDialogs are about the end.
func closeDialogs() (all []dialog) {
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		all = append(all, dialog{fmt.Sprintf("close %d", code), []string{closing(code, "why")}, nil, int(code)})
	}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		all = append(all, dialog{fmt.Sprintf("close %d", code), []string{closing(code, "")}, nil, 1002})
	}
	return append(all,
		dialog{"close with a reason of 123 bytes", []string{closing(1000, strings.Repeat("x", 123))}, nil, 1000},
		dialog{"close with a reason of 124 bytes", []string{closing(1000, strings.Repeat("x", 124))}, nil, 1002},
		dialog{"close with half a code", []string{wstest.Masked(frameClose, "\x03")}, nil, 1002},
		dialog{"close with a bad reason", []string{closing(1000, "\xed\xa0\x80")}, nil, 1007},
		dialog{"what follows a close", []string{closing(1001, ""), wstest.Masked(framePing, "late"), wstest.Masked(0x81, askPing)}, nil, 1001},
	)
}

// If the server let a broken frame pass, answered a good one otherwise, or took
// what it is told otherwise when the network splits it, strict peers could not
// talk to it.
func TestSocketDialogs(t *testing.T) {
	w := newWorld(t)
	list := dialogs()
	if len(list) < 100 {
		t.Fatalf("there are only %d", len(list))
	}
	for _, d := range list {
		for _, piece := range []int{1 << 20, 1} {
			t.Run(fmt.Sprintf("%s in pieces of %d", d.name, piece), func(t *testing.T) { w.holds(t, d, piece) })
		}
	}
	w.eventually("all sockets are closed", func() bool { return w.metric("keywatch_sockets") == 0 })
}

// holds holds one dialog, whose bytes are sent in pieces.
func (w *world) holds(t *testing.T, d dialog, piece int) {
	r := w.rawSocket("", "")
	r.T = t
	defer r.Conn.Close()
	go func() {
		for text := strings.Join(d.says, ""); text != ""; {
			n := min(piece, len(text))
			if _, err := io.WriteString(r.Conn, text[:n]); err != nil {
				return // the server has closed, as the answer shows
			}
			text = text[n:]
		}
	}()
	for _, want := range d.want {
		if first, payload := r.Frame(); !strings.HasPrefix(string([]byte{first})+payload, want) {
			t.Fatalf("got %x %q, want %q", first, payload, want)
		}
	}
	if d.code != 0 {
		r.WantOnlyClose(d.code)
		return
	}
	r.Send(wstest.Masked(0x81, `{"id":9,"op":"ping"}`))
	if _, payload := r.Frame(); !strings.HasPrefix(payload, `{"id":9,"ok":true`) {
		t.Fatalf("got %q after it, want an answer", payload)
	}
}
