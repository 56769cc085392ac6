package resp_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"keywatch/test/gate"
)

// leave closes the client's sending side.
func (c *client) leave() {
	c.t.Helper()
	if err := c.conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		c.t.Fatal(err)
	}
	if secured, ok := c.conn.(*tls.Conn); ok { // which has only said so
		_ = secured.NetConn().(*net.TCPConn).CloseWrite()
	}
}

// waiting waits until n places are in queues for locks.
func (w *world) waiting(n int) {
	w.t.Helper()
	gate.Until(w.t, func() bool { return w.store.State().Stats().LockWaiters == n }, "never: %d wait for a lock", n)
}

// If this failed, a client that closes its sending side behind its commands, as nc does, would
// get no reply to a write, and would not know whether it was done.
func TestRepliesFollowTheEndOfCommands(t *testing.T) {
	for name, commands := range map[string][][2]string{
		"none":          nil,
		"a write":       {{"SET a 1", "+OK"}},
		"many":          {{"SET a 1", "+OK"}, {"INCR a", "2"}, {"GET a", `"2"`}, {"APPEND a 0", "2"}, {"DBSIZE", "1"}, {"PING", "+PONG"}},
		"a transaction": {{"MULTI", "+OK"}, {"INCR a", "+QUEUED"}, {"EXEC", "[1]"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newWorld(t).dial()
			var b strings.Builder
			for _, command := range commands {
				b.WriteString(encode(strings.Fields(command[0])...))
			}
			c.send(b.String() + "*2\r\n$3\r\nGE") // the last is not whole
			c.leave()
			for _, command := range commands {
				if got := c.reply(); got != command[1] {
					t.Errorf("%s: got %s, want %s", command[0], got, command[1])
				}
			}
			if err := c.closed(); err != nil {
				t.Error(err)
			}
		})
	}
}

// If this failed, a client that dies while it waits for a lock would get it, and keep it from all
// others until its lease ends: a client that is half closed looks like one that is gone.
func TestWhoLeavesLosesItsPlaceInTheQueue(t *testing.T) {
	w := newWorld(t)
	w.dial().say("KW.LOCK l 3600000")
	for name, behind := range map[string]string{"alone": "", "with more behind": encode("PING")} {
		t.Run(name, func(t *testing.T) {
			c := w.dial()
			c.send(encode("KW.LOCK", "l", "3600000", "WAIT", "300000") + behind)
			w.waiting(1)
			c.leave()
			w.waiting(0)
		})
	}
	c := w.dial()
	c.send(encode("KW.LOCK", "l", "3600000", "WAIT", "300000"))
	c.leave() // perhaps before the command has run
	if got, err := c.read(); err == nil && strings.HasPrefix(got, "[") {
		t.Errorf("got %s: another holds the lock", got)
	}
	w.waiting(0)
}

// If this failed, the connection of a client that closes its sending side behind more than is read at
// once would stay open when a command before that takes a while, and the client would wait for its end.
func TestEndIsSeenBehindACommandThatWaits(t *testing.T) {
	for _, waits := range [][]string{{"DBSIZE"}, {"KW.LOCK", "l", "60000"}} {
		t.Run(waits[0], func(t *testing.T) {
			const echoes = 200
			c := newWorld(t).dial()
			c.send(encode(waits...) + strings.Repeat(encode("ECHO", strings.Repeat("v", 100)), echoes))
			c.leave()
			if got := c.reply(); got == "" || got[0] == '-' {
				t.Errorf("%s: got %s", waits[0], got)
			}
			for range echoes {
				c.reply()
			}
			if err := c.closed(); err != nil {
				t.Error(err)
			}
		})
	}
}
