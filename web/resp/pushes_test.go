package resp_test

import "testing"

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
