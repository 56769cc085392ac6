package ws_test

import (
	"strings"
	"testing"

	"keywatch/web/ws/wstest"
)

// If the server let a broken frame pass, or answered a good one otherwise,
// strict peers could not talk to it.
func TestSocketFrames(t *testing.T) {
	w := newWorld(t)
	const pingCommand, pong = `{"id":1,"op":"ping"}`, `{"id":1,"ok":true,"position":"7f3a9c21-0"}`
	for _, c := range []struct {
		name, send string
		want       []string
		code       int
	}{
		{"ping", wstest.Masked(0x89, "who") + wstest.Masked(wstest.Text, pingCommand), []string{"\x8awho", "\x81" + pong}, 0},
		{"pong", wstest.Masked(0x8a, "unasked") + wstest.Masked(wstest.Text, pingCommand), []string{"\x81" + pong}, 0},
		{"fragments around a ping", wstest.Masked(0x01, pingCommand[:5]) + wstest.Masked(0x89, "!") + wstest.Masked(0x00, pingCommand[5:9]) + wstest.Masked(0x80, pingCommand[9:]), []string{"\x8a!", "\x81" + pong}, 0},
		{"normal close", wstest.Masked(0x88, "\x03\xe8done"), nil, 1000},
		{"close of one's own", wstest.Masked(0x88, "\x0f\xa0"), nil, 4000},
		{"empty close", wstest.Masked(0x88, ""), nil, -1},
		{"close with half a code", wstest.Masked(0x88, "\x03"), nil, 1002},
		{"close with a bad code", wstest.Masked(0x88, "\x03\xed"), nil, 1002},
		{"close with a bad reason", wstest.Masked(0x88, "\x03\xe8\xff"), nil, 1007},
		{"not masked", "\x81\x01a", nil, 1002},
		{"reserved bit", wstest.Masked(0xc1, "a"), nil, 1002},
		{"bad opcode", wstest.Masked(0x83, "a"), nil, 1002},
		{"fragmented ping", wstest.Masked(0x09, "a"), nil, 1002},
		{"binary", wstest.Masked(0x82, pingCommand), nil, 1003},
		{"not UTF-8", wstest.Masked(wstest.Text, "{\xff}"), nil, 1007},
		{"too large", wstest.Masked(wstest.Text, strings.Repeat("x", 2<<20+1)), nil, 1009},
		{"too large in fragments", wstest.Masked(0x01, strings.Repeat("x", 2<<20)) + wstest.Masked(0x80, "x"), nil, 1009},
		{"an answer, then the close", wstest.Masked(wstest.Text, `nonsense`) + wstest.Masked(0x88, "\x03\xe8"), nil, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := w.rawSocket("", "")
			r.T = t
			go r.Conn.Write([]byte(c.send))
			r.Want(c.want...)
			switch {
			case c.code == -1:
				r.Want("\x88")
				if first, _ := r.Frame(); first != 0 {
					t.Errorf("got another frame after the close frame")
				}
			case c.code != 0:
				r.WantClose(c.code)
			}
		})
	}
	w.eventually("all sockets are closed but two", func() bool { return w.metric("keywatch_sockets") <= 3 })
	r := w.rawSocket("", "")
	r.Send(wstest.Masked(wstest.Text, pingCommand))
	r.Want("\x81" + pong)
}
