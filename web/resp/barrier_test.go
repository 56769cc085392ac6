package resp_test

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"keywatch/kv"
	"keywatch/test/gate"
)

// agreeing has reads wait until one is sent to the channel that it returns for each barrier; asked
// counts the barriers.
func (w *world) agreeing() (agree chan error, asked *atomic.Int32) {
	agree, asked = make(chan error), new(atomic.Int32)
	w.log.barrier = func(ctx context.Context) error {
		asked.Add(1)
		select {
		case err := <-agree:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return agree, asked
}

// wantAll compares the next replies.
func (c *client) wantAll(want ...string) {
	c.t.Helper()
	for i, want := range want {
		if got := c.reply(); got != want {
			c.t.Errorf("reply %d: got %s, want %s", i, got, want)
		}
	}
}

// If this failed, reads of one pipeline would wait for other servers one after the other in a
// cluster, or one would show what its own connection wrote behind it.
func TestPipelineSharesABarrier(t *testing.T) {
	w := newWorld(t)
	agree, asked := w.agreeing()
	c := w.dial()
	get, set := encode("GET", "k"), encode("SET", "k", "1")
	c.send(get + get + get + set + get + "*2\r\n$3\r\nGE")
	agree <- nil
	c.wantAll("nil", "nil", "nil", "+OK", `"1"`)
	if n := asked.Load(); n != 1 {
		t.Errorf("reads waited for %d barriers, want 1", n)
	}
	c.send("T\r\n$1\r\nk\r\n" + get)
	agree <- nil
	c.wantAll(`"1"`, `"1"`)
	c.send(encode("CLIENT", "REPLY", "SKIP") + get + get)
	agree <- nil
	c.wantAll(`"1"`)
	c.send(get + get)
	agree <- kv.ErrNoLeader
	c.wantAll("-TRYAGAIN no_leader", "-TRYAGAIN no_leader")
	c.send(get)
	agree <- nil
	c.wantAll(`"1"`)
}

// If this failed, a read that was sent after another client's write was answered could be told of a
// barrier that began before, and show what was there before the write.
func TestReadTakesNoEarlierBarrier(t *testing.T) {
	w := newWorld(t)
	agree, asked := w.agreeing()
	c, other := w.dial(), w.dial()
	c.send(encode("GET", "k"))
	gate.Until(t, func() bool { return asked.Load() == 1 }, "never: the first read waits")
	other.want("SET k 1", "+OK")
	c.send(encode("GET", "k"))
	agree <- nil
	c.reply()
	gate.Until(t, func() bool { return asked.Load() == 2 }, "never: the second read waits")
	other.want("SET k 2", "+OK")
	agree <- nil
	c.wantAll(`"2"`)
}

// If this failed, each read in a cluster but GET would take a goroutine, and wait for the other
// servers on its own, or a pipeline of reads would show what its own connection wrote behind them.
func TestReadsShareABarrier(t *testing.T) {
	w := newWorld(t)
	agree, asked := w.agreeing()
	c := w.dial()
	c.want("SET k value", "+OK")
	reads := [][2]string{
		{"MGET k none", `["value" nil]`}, {"EXISTS k none", "1"}, {"STRLEN k", "5"}, {"TTL k", "-1"}, {"PTTL none", "-2"},
		{"TYPE k", "+string"}, {"GETRANGE k 0 1", `"va"`}, {"GET k", `"value"`}, {"TOUCH k", "1"}, {"PEXPIRETIME k", "-1"},
		{"OBJECT ENCODING k", `"embstr"`}, {"WATCH k", "+OK"}, {"MULTI", "+OK"}, {"GET k", "+QUEUED"}, {"MGET none k", "+QUEUED"},
		{"EXEC", `["value" [nil "value"]]`}, {"KW.HOLDER none", "nil"}, {"DEL k", "1"}, {"EXISTS k", "0"},
	}
	var b strings.Builder
	for _, r := range reads {
		b.WriteString(encode(strings.Fields(r[0])...))
	}
	c.send(b.String())
	agree <- nil
	for _, r := range reads {
		if got := c.reply(); got != r[1] {
			t.Errorf("%s: got %s, want %s", r[0], got, r[1])
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("reads waited for %d barriers, want 1", n)
	}
	for _, line := range []string{"MGET k", "EXISTS k", "WATCH k"} {
		c.send(encode(strings.Fields(line)...))
		agree <- kv.ErrNoLeader
		c.wantAll("-TRYAGAIN no_leader")
	}
}

// If this failed, a client that asked for no reply would take that of a slow command for the reply
// to its next one.
func TestSlowCommandsAreSkippedToo(t *testing.T) {
	c := newWorld(t).dial()
	c.send(encode("CLIENT", "REPLY", "SKIP") + encode("SCAN", "0") + encode("PING"))
	c.wantAll("+PONG")
	c.send(encode("CLIENT", "REPLY", "OFF") + encode("KEYS", "*") + encode("CLIENT", "REPLY", "ON") + encode("PING"))
	c.wantAll("+OK", "+PONG")
}

// If this failed, each command of these kinds would hold a goroutine in a cluster while the other servers
// agree, and a thousand of them would keep all others waiting.
func TestBarrierIsWaitedForWithoutARunner(t *testing.T) {
	w := newWorld(t)
	agree, asked := w.agreeing()
	c := w.dial()
	c.want("SET k value", "+OK")
	for i, row := range [][2]string{
		{"APPEND k x", "6"}, {"SETRANGE k 0 V", "6"}, {"EXPIRE k 100", "1"}, {"GETEX k PERSIST", `"Valuex"`}, {"RENAME k l", "+OK"}, {"COPY l k", "1"},
		{"KEYS *", `["k" "l"]`}, {"SCAN 0", `["0" ["k" "l"]]`}, {"DBSIZE", "2"}, {"RANDOMKEY", ""}, {"FLUSHALL", "+OK"},
	} {
		c.send(encode(strings.Fields(row[0])...))
		if row[0] == "FLUSHALL" {
			c.wantAll(row[1])
			break
		}
		for ctx := gate.Context(t); asked.Load() <= int32(i) || w.server.Running() > 0; runtime.Gosched() {
			if ctx.Err() != nil {
				t.Fatalf("%s: %d runners wait", row[0], w.server.Running())
			}
		}
		agree <- nil
		if got := c.reply(); got != row[1] && row[1] != "" {
			t.Errorf("%s: got %s, want %s", row[0], got, row[1])
		}
	}
	for _, line := range []string{"APPEND k x", "KEYS *", "DBSIZE"} {
		c.send(encode(strings.Fields(line)...))
		agree <- kv.ErrNoLeader
		c.wantAll("-TRYAGAIN no_leader")
	}
}
