package resp_test

import (
	"fmt"
	"testing"
)

// A subscriber of RESP2 that gets another answer to PING, or is served other commands, breaks.
func TestKeyspaceNotifications(t *testing.T) {
	w := newWorld(t)
	sub, c := w.dial(), w.dial()
	sub.want("PSUBSCRIBE __key*__:a*", `["psubscribe" "__key*__:a*" 1]`)
	sub.want("SUBSCRIBE __keyevent@0__:del", `["subscribe" "__keyevent@0__:del" 2]`)
	sub.want("PING", `["pong" ""]`)
	sub.want("GET a", "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
	c.want("SET a 1", "+OK")
	c.want("INCR a", "2")
	c.want("EXPIRE a 100", "1")
	c.want("PERSIST a", "1")
	c.want("DEL a", "1")
	for _, want := range []string{
		`["pmessage" "__key*__:a*" "__keyspace@0__:a" "set"]`, `["pmessage" "__key*__:a*" "__keyspace@0__:a" "incrby"]`,
		`["pmessage" "__key*__:a*" "__keyspace@0__:a" "expire"]`, `["pmessage" "__key*__:a*" "__keyspace@0__:a" "persist"]`,
		`["pmessage" "__key*__:a*" "__keyspace@0__:a" "del"]`, `["message" "__keyevent@0__:del" "a"]`,
	} {
		if got := sub.reply(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	sub.want("UNSUBSCRIBE", `["unsubscribe" "__keyevent@0__:del" 1]`)
	sub.want("PUNSUBSCRIBE", `["punsubscribe" "__key*__:a*" 0]`)
	sub.want("GET a", "nil")
}

// A client that caches must hear of each change after its read, behind the replies that it
// waits for, and not of its own with NOLOOP.
func TestTracking(t *testing.T) {
	w := newWorld(t)
	c, other := w.dial(), w.dial()
	c.say("HELLO 3")
	c.want("CLIENT TRACKING ON NOLOOP", "+OK")
	c.want("SET a 1", "+OK")
	c.want("GET a", `"1"`)
	c.want("SET a 2", "+OK")
	c.want("GET a", `"2"`)
	other.want("SET a 3", "+OK")
	if got := c.reply(); got != `>["invalidate" ["a"]]` {
		t.Errorf("got %s", got)
	}
	other.want("SET a 4", "+OK") // told once
	c.want("PING", "+PONG")
	c.want("GET a", `"4"`)
	other.want("FLUSHALL", "+OK")
	for {
		if got := c.reply(); got == `>["invalidate" nil]` {
			break
		} else if got != `>["invalidate" ["a"]]` {
			t.Fatalf("got %s", got)
		}
	}
	c.want("CLIENT TRACKING OFF", "+OK")
	c.want("CLIENT TRACKING ON BCAST PREFIX p PREFIX q", "+OK")
	c.want("CLIENT TRACKING ON BCAST PREFIX px", "-ERR Prefix 'px' overlaps with an existing prefix 'p'. Prefixes for a single client must not overlap.")
	other.want("MSET p1 1 q1 1 p2 1 z 1", "+OK")
	for _, want := range []string{`>["invalidate" ["p1" "p2"]]`, `>["invalidate" ["q1"]]`} {
		if got := c.reply(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A watch that loses a change, or that cannot resume where it was, would have to be read again
// from the start; every client can subscribe to one.
func TestWatchChannel(t *testing.T) {
	w := newWorld(t)
	c, sub := w.dial(), w.dial()
	c.want("SET a/1 x", "+OK")
	sub.want("SUBSCRIBE kw:watch?prefix=a/", `["subscribe" "kw:watch?prefix=a/" 1]`)
	message := func(channel, body string) {
		t.Helper()
		want := fmt.Sprintf("[%q %q %q]", "message", channel, body)
		if got := sub.reply(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	message("kw:watch?prefix=a/", `{"type":"reset","pos":"7f3a9c21-0"}`)
	message("kw:watch?prefix=a/", `{"type":"put","key":"a/1","value":"x","rev":1,"create_rev":1,"version":1}`)
	message("kw:watch?prefix=a/", `{"type":"synced","pos":"7f3a9c21-1"}`)
	c.want("MSET a/1 y b z a/2 w", "+OK")
	message("kw:watch?prefix=a/", `{"type":"put","key":"a/1","value":"y","rev":2,"create_rev":1,"version":2}`)
	message("kw:watch?prefix=a/", `{"type":"put","key":"a/2","value":"w","rev":2,"create_rev":2,"version":1,"pos":"7f3a9c21-2"}`)
	sub.want("UNSUBSCRIBE kw:watch?prefix=a/", `["unsubscribe" "kw:watch?prefix=a/" 0]`)
	c.want("DEL a/2", "1")
	sub.want("SUBSCRIBE kw:watch?prefix=a/&since=7f3a9c21-2", `["subscribe" "kw:watch?prefix=a/&since=7f3a9c21-2" 1]`)
	message("kw:watch?prefix=a/&since=7f3a9c21-2", `{"type":"delete","key":"a/2","cause":"deleted","rev":3,"create_rev":2,"version":2,"pos":"7f3a9c21-3"}`)
	message("kw:watch?prefix=a/&since=7f3a9c21-2", `{"type":"synced","pos":"7f3a9c21-3"}`)
	for say, want := range map[string]string{
		"SUBSCRIBE kw:watch":                     "-ERR bad_parameter: a watch requires at least one key or prefix",
		"SUBSCRIBE kw:watch?prefix=a/&mode=x":    `-ERR bad_parameter: mode: expected all, latest or keys, got "x"`,
		"SUBSCRIBE kw:watch?prefix=a/&prefixes=": "-ERR unknown parameter 'prefixes'",
	} {
		sub.want(say, want)
	}
}

// KW.WATCH is the same in RESP3, with values as bytes.
func TestWatchCommand(t *testing.T) {
	w := newWorld(t)
	c, sub := w.dial(), w.dial()
	sub.want("KW.WATCH w PREFIX a/", "-ERR KW.WATCH requires RESP3: send HELLO 3, or SUBSCRIBE kw:watch?prefix=")
	sub.say("HELLO 3")
	c.want("SET a/1 x PX 100000", "+OK")
	sub.want("KW.WATCH w PREFIX a/ LIVE", "+OK")
	if got := sub.reply(); got != `>["kw.watch" "w" "synced" "7f3a9c21-1"]` {
		t.Errorf("got %s", got)
	}
	c.want("MSET a/1 y a/2 z", "+OK")
	c.want("DEL a/1", "1")
	for _, want := range []string{
		`>["kw.watch" "w" "put" "a/1" "y" 2 2 nil nil]`, `>["kw.watch" "w" "put" "a/2" "z" 2 1 nil "7f3a9c21-2"]`,
		`>["kw.watch" "w" "delete" "a/1" nil 3 3 nil "7f3a9c21-3"]`,
	} {
		if got := sub.reply(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	sub.want("GET a/2", `"z"`) // replies and messages on one connection
	sub.want("KW.WATCH w PREFIX b/", "-ERR this connection has a watch of that id")
	sub.want("KW.UNWATCH w", "1")
	sub.want("KW.UNWATCH w", "0")
	sub.want("KW.WATCH w KEY a/2 SINCE 7f3a9c21-1 MODE keys", "+OK")
	for _, want := range []string{`>["kw.watch" "w" "put" "a/2" nil 2 1 nil "7f3a9c21-2"]`, `>["kw.watch" "w" "synced" "7f3a9c21-3"]`} {
		if got := sub.reply(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
