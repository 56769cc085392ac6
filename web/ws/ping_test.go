package ws_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/web/ws/wstest"
)

// If silent sockets were not asked, proxies would close them and the dead would
// stay; if one that answers were closed, no client could be idle.
func TestSocketPings(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, conn net.Conn) {
		r := wstest.Upgrade(t, conn, "", "")
		for range 5 {
			start := time.Now()
			r.Want("\x89")
			if got := time.Since(start); got < 14*time.Second || got > 36*time.Second {
				t.Errorf("got a ping after %v", got)
			}
			r.Send(wstest.Masked(0x8a, ""))
		}
		start := time.Now()
		r.Want("\x89")
		// No pong this time.
		if first, payload := r.Frame(); first != 0x88 || !strings.HasPrefix(payload, "\x0b\xc0") { // 3008
			t.Errorf("got %x %q, want a close frame", first, payload)
		}
		if first, _ := r.Frame(); first != 0 {
			t.Errorf("got %x, want the end of a client that does not answer", first)
		}
		if got := time.Since(start); got < 14*time.Second || got > time.Minute {
			t.Errorf("ended %v after the last word", got)
		}
	})
}

// If this failed, a client that vanishes while too much of what it has asked is under
// way, so that nothing is read from it, would not even be noticed by the kernel: bytes
// that are not acknowledged are what ends its connection.
func TestPausedSocketIsPinged(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, conn net.Conn) {
		w.hold("busy")
		r := wstest.Upgrade(t, conn, "", "")
		go func() {
			for i := range 70 { // until nothing is read any more
				_, _ = io.WriteString(conn, wstest.Masked(wstest.Text, fmt.Sprintf(`{"id":%d,"op":"lock","lock":"busy","ttl":"10s","wait":"5m"}`, i+1)))
			}
		}()
		synctest.Wait()
		for range 4 {
			start := time.Now()
			r.Want("\x89")
			if got := time.Since(start); got > 36*time.Second {
				t.Errorf("got a ping after %v", got)
			}
		}
	})
}

// Without it a socket with commands would be asked for nothing, or closed
// although it is in use.
func TestSocketInUseIsNotPinged(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, conn net.Conn) {
		r := wstest.Upgrade(t, conn, "", "")
		for range 20 {
			time.Sleep(10 * time.Second)
			r.Send(wstest.Masked(wstest.Text, `{"id":1,"op":"ping"}`))
			r.Want("\x81" + `{"id":1,"ok":true,"position":"7f3a9c21-0"}`)
		}
	})
}

// Without it the positions of idle watches would grow too old to resume from; if
// it came before an event that it covers, a resume would lose that.
func TestSocketProgress(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, conn net.Conn) {
		r := wstest.Upgrade(t, conn, "?key=a&state=0", wstest.Masked(wstest.Text, `{"id":1,"op":"watch","keys":["b"],"state":false,"mode":"latest","interval":"20s"}`))
		var begin []string // of the watch in the URL, and of the other in any order beside it
		for range 3 {
			_, text := r.Frame()
			begin = append(begin, text)
		}
		other := slices.DeleteFunc(slices.Clone(begin), func(text string) bool { return text == `{"type":"synced","watch":0,"pos":"7f3a9c21-0"}` })
		if !slices.Equal(other, []string{`{"id":1,"ok":true}`, `{"type":"synced","watch":1,"pos":"7f3a9c21-0"}`}) {
			t.Errorf("got %q, want that both watches are live", begin)
		}
		w.write("b", "1")
		r.Want("\x81" + `{"type":"put","key":"b","value":"1","rev":1,"create_rev":1,"version":1,"watch":1,"pos":"7f3a9c21-1"}`)
		start := time.Now()
		w.write("other", "1")
		r.Want("\x81" + `{"type":"progress","pos":"7f3a9c21-2"}`)
		if got := time.Since(start); got > 15*time.Second {
			t.Errorf("got a bookmark after %v", got)
		}
		// The second watch holds back an event now, which no bookmark may cover.
		w.write("b", "2")
		w.write("b", "3")
		r.Want("\x81" + `{"type":"put","key":"b","value":"3","rev":4,"create_rev":1,"version":3,"skipped":1,"watch":1,"pos":"7f3a9c21-4"}`)
		if got := time.Since(start); got < 20*time.Second {
			t.Errorf("got the next flush after %v, want 20 s", got)
		}
		for range 3 {
			first, payload := r.Frame()
			if first == 0x89 {
				r.Send(wstest.Masked(0x8a, ""))
				continue
			}
			if payload != `{"type":"progress","pos":"7f3a9c21-4"}` {
				t.Errorf("got %q, want a bookmark", payload)
			}
		}
	})
}
