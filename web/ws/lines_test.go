package ws_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"keywatch/web/ws"
)

// If many events did not share a message, a browser would take seconds for
// 10,000 keys; if lines said anything else than messages do, or one message grew
// without bound, a client that reads lines would be worse off.
func TestSocketLines(t *testing.T) {
	const keys, large, most = 2000, 5, 32 << 10
	w := newWorld(t)
	for i := range keys {
		w.write(fmt.Sprintf("k/%04d", i), "line\nbreak")
	}
	for i := range large {
		w.write(fmt.Sprintf("large/%d", i), strings.Repeat("x", 3*most))
	}
	read := func(subprotocol string) (events []string, messages int) {
		t.Helper()
		c := w.socketAs(subprotocol, "?prefix=")
		for last := ""; !strings.Contains(last, `"type":"synced"`); messages++ {
			message := c.Text()
			lines := strings.Split(message, "\n")
			last = lines[len(lines)-1]
			if len(message)-len(last) > most {
				t.Errorf("a message has %d bytes before its last line, at most %d are wanted", len(message)-len(last), most)
			}
			events = append(events, lines...)
		}
		if got := c.Ask(`{"id":1,"op":"ping"}`); got["ok"] != true {
			t.Errorf("ping: got %v", got)
		}
		return events, messages
	}
	want, each := read("keywatch.v1.json")
	got, shared := read("keywatch.v1.ndjson")
	if !slices.Equal(got, want) || len(got) != keys+large+2 {
		t.Errorf("lines say %d events, messages %d, and not the same", len(got), len(want))
	}
	if each != len(want) || shared > len(want)/50 {
		t.Errorf("got %d events in %d messages, and as lines in %d", len(want), each, shared)
	}
}

// If what changes while a client is busy did not come as lines too, or in parts
// that tear a revision apart, nothing would be won, or something lost.
func TestSocketLinesLive(t *testing.T) {
	w := newWorld(t)
	c := w.socketAs(ws.SubprotocolLines, "?prefix=&state=0")
	c.Want(`{"type":"synced","watch":0,"pos":"7f3a9c21-0"}`)
	other := w.socket("")
	if got := other.Ask(`{"id":1,"op":"batch","ops":[{"op":"put","key":"a","value":"1"},{"op":"put","key":"b","value":"2"},{"op":"put","key":"c","value":"3"}]}`); got["ok"] != true {
		t.Fatal(got)
	}
	c.Want(`{"type":"put","key":"a","value":"1","rev":1,"create_rev":1,"version":1,"watch":0,"more":true}` + "\n" +
		`{"type":"put","key":"b","value":"2","rev":1,"create_rev":1,"version":1,"watch":0,"more":true}` + "\n" +
		`{"type":"put","key":"c","value":"3","rev":1,"create_rev":1,"version":1,"watch":0,"pos":"7f3a9c21-1"}`)
}
