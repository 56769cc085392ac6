package resp_test

import (
	"fmt"
	"strings"
	"testing"
)

// script runs lines of "command => reply".
func script(t *testing.T, c *client, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		say, want, ok := strings.Cut(strings.TrimSuffix(strings.TrimLeft(line, "\t"), "\n"), " => ")
		if ok {
			c.want(say, want)
		}
	}
}

// A reply that differs from that of Redis is another one to every client there is.
func TestCommands(t *testing.T) {
	w := newWorld(t)
	w.log.stands.Store(1000) // no TTL gets shorter
	script(t, w.dial(), `
		PING => +PONG
		PING hi => "hi"
		GET a => nil
		SET a 1 => +OK
		GET a => "1"
		SET a 2 NX => nil
		SET a 2 XX GET => "1"
		SET b 1 XX => nil
		SET b 1 NX GET => nil
		SET b 2 NX GET => "1"
		SET a 3 IFEQ 1 => nil
		SET a 3 IFEQ 2 => +OK
		SET a 4 IFNE 3 => nil
		SET none 4 IFNE 3 => +OK
		SET missing 4 IFEQ 3 => nil
		SET a 1 EX 0 => -ERR invalid expire time in 'set' command
		SET a 1 EX x => -ERR value is not an integer or out of range
		SET a 1 EX 9223372036854775807 => -ERR invalid expire time in 'set' command
		SET a 1 NX XX => -ERR syntax error
		SET a 1 EX 10 KEEPTTL => -ERR syntax error
		SET a 1 FOO => -ERR syntax error
		SET a => -ERR wrong number of arguments for 'set' command
		GETSET a 5 => "3"
		GETDEL a => "5"
		EXISTS a b b => 2
		SETNX b 9 => 0
		SETEX b 100 v => +OK
		TTL b => 100
		PERSIST b => 1
		PERSIST b => 0
		TTL b => -1
		TTL zz => -2
		EXPIRE b 50 GT => 0
		EXPIRE b 50 LT => 1
		EXPIRE b 40 NX => 0
		EXPIRE b 40 XX GT => 0
		EXPIRE b 60 XX GT => 1
		EXPIRE b 60 NX XX => -ERR NX and XX, GT or LT options at the same time are not compatible
		EXPIRE b 60 GT LT => -ERR GT and LT options at the same time are not compatible
		EXPIRE b 60 AB => -ERR Unsupported option AB
		EXPIRE b 9223372036854775807 => -ERR invalid expire time in 'expire' command
		EXPIRE b -1 NX => 0
		EXPIRE b -1 => 1
		EXISTS b => 0
		PEXPIREAT none 9223372036854770000 => 1
		PEXPIRETIME zz => -2
		MSET x 1 y 2 x 3 => +OK
		MGET x y z => ["3" "2" nil]
		MSETNX x 1 n 1 => 0
		MSETNX n1 1 n2 1 => 1
		MSET x 1 y => -ERR wrong number of arguments for 'mset' command
		MSETEX 2 x 1 y 2 EX 100 => 1
		MSETEX 2 x 1 y 2 NX => 0
		TTL y => 100
		DEL x x y zz => 2
		INCR n => 1
		INCRBY n 41 => 42
		DECRBY n 2 => 40
		DECR n => 39
		INCRBYFLOAT n 0.5 => "39.5"
		INCR n => -ERR value is not an integer or out of range
		INCRBYFLOAT n x => -ERR value is not a valid float
		INCRBYFLOAT n inf => -ERR increment would produce NaN or Infinity
		SET n 9223372036854775807 => +OK
		INCR n => -ERR increment or decrement would overflow
		DECRBY n -9223372036854775808 => -ERR decrement would overflow
		SET s Hello => +OK
		APPEND s World => 10
		STRLEN s => 10
		GETRANGE s 0 4 => "Hello"
		GETRANGE s -5 -1 => "World"
		SETRANGE s 5 XYZ => 10
		GET s => "HelloXYZld"
		SETRANGE s -1 X => -ERR offset is out of range
		SETRANGE s 4194304 X => -ERR string exceeds maximum allowed size (1048576 bytes)
		RENAME s r => +OK
		RENAME s r => -ERR no such key
		RENAMENX r n => 0
		COPY r r2 => 1
		COPY r r2 => 0
		COPY r r2 REPLACE => 1
		COPY r r3 DB 1 => -ERR DB index is out of range
		TYPE r => +string
		TYPE zz => +none
		OBJECT ENCODING n => "int"
		DELEX r IFEQ no => 0
		DELEX r IFNE no => 1
		DELIFEQ r2 HelloXYZld => 1
		GETEX n EX 100 => "9223372036854775807"
		TTL n => 100
		GETEX n PERSIST => "9223372036854775807"
		TTL n => -1
		SELECT 0 => +OK
		SELECT 1 => -ERR DB index is out of range
		ECHO x => "x"
		CONFIG GET databases => ["databases" "1"]
		CONFIG SET maxmemory 5 => -ERR CONFIG SET failed (possibly related to argument 'maxmemory') - can't set immutable config
		CONFIG SET notify-keyspace-events K maxmemory 5 => -ERR CONFIG SET failed (possibly related to argument 'maxmemory') - can't set immutable config
		CONFIG GET notify-keyspace-events => ["notify-keyspace-events" "AKE"]
		CONFIG SET foo 5 => -ERR Unknown option or number of arguments for CONFIG SET - 'foo'
		CLUSTER INFO => -ERR This instance has cluster support disabled
		CLUSTER SLOTS => -ERR This instance has cluster support disabled
		CLUSTER SHARDS => -ERR This instance has cluster support disabled
		CLUSTER NODES => -ERR This instance has cluster support disabled
		WAIT 0 0 => 0
		ACL WHOAMI => "default"
		AUTH x => -ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
		AUTH default x => +OK
		AUTH bob x => -WRONGPASS invalid username-password pair or user is disabled.
		CLIENT MAINT_NOTIFICATIONS ON => -ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.
		CLIENT SETNAME me => +OK
		CLIENT GETNAME => "me"
		CLIENT SETINFO LIB-NAME x => +OK
		LPUSH l 1 2 => -ERR unknown command 'LPUSH', with args beginning with: 'l' '1' '2' 
		GET => -ERR wrong number of arguments for 'get' command
		GET a//b => -ERR bad key: a segment between slashes is empty
		SET a/ 1 => -ERR bad key: it ends with a slash
		SET locks/x 1 => -NOPERM keys under locks/ are written by lock commands only
		GET locks/x => nil
		KW.GET none2 => nil
		KW.CAS none2 0 v => [1 34 1]
		KW.CAS none2 0 v => [0 34 1]
		KW.CAS none2 34 w PX 100000 => [1 35 2]
		KW.CAD none2 34 => [0 35 2]
		KW.CAD none2 35 => [1 36 3]
		FLUSHALL => +OK
		DBSIZE => 0
		RANDOMKEY => nil
	`)
}

// Keys that break the rules must be refused and change nothing, whatever the command.
func TestBadKeys(t *testing.T) {
	c := newWorld(t).dial()
	for _, key := range []string{"", "a\x00", "\xff\xfe", "/", "a/../b", strings.Repeat("k", 1025)} {
		for _, cmd := range [][]string{{"SET", key, "v"}, {"GET", key}, {"INCR", key}, {"DEL", key}, {"EXPIRE", key, "10"}, {"MSET", "ok", "1", key, "v"}, {"RENAME", key, "b"}} {
			if got := c.words(cmd...); !strings.HasPrefix(got, "-ERR bad key: ") {
				t.Errorf("%q: got %s", cmd, got)
			}
		}
	}
	c.want("DBSIZE", "0")
}

// Each handshake is what a client sends first; an answer that it does not expect ends it.
func TestHello(t *testing.T) {
	for _, c := range []struct{ say, want string }{
		{"HELLO", `["server" "redis" "version" "7.4.0" "proto" 2 "id" 1 "mode" "standalone" "role" "master" "modules" []]`},
		{"HELLO 3", `{"server" "redis" "version" "7.4.0" "proto" 3 "id" 1 "mode" "standalone" "role" "master" "modules" []}`},
		{"HELLO 3 AUTH default x SETNAME me", `{"server" "redis" "version" "7.4.0" "proto" 3 "id" 1 "mode" "standalone" "role" "master" "modules" []}`},
		{"HELLO 4", "-NOPROTO unsupported protocol version"},
		{"HELLO x", "-ERR Protocol version is not an integer or out of range"},
		{"HELLO 3 AUTH bob x", "-WRONGPASS invalid username-password pair or user is disabled."},
		{"HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'"},
	} {
		k := newWorld(t).dial()
		k.want(c.say, c.want)
		if strings.HasPrefix(c.want, "-") {
			k.want("GET none", "nil")
			k.want("CONFIG GET databases", `["databases" "1"]`) // still RESP2
			k.want("CLIENT GETNAME", "nil")
		}
	}
}

// A key that was absent at WATCH, and was created and deleted again, has changed: a transaction that
// runs all the same was made from what is not so any more.
func TestWatchSeesKeysComeAndGo(t *testing.T) {
	w := newWorld(t)
	c, other := w.dial(), w.dial()
	try := func(want string) {
		t.Helper()
		c.want("MULTI", "+OK")
		c.want("SET done 1", "+QUEUED")
		c.want("EXEC", want)
	}
	come := func(ways ...string) {
		t.Helper()
		for _, way := range ways {
			c.want("WATCH never a b", "+OK")
			script(t, other, way)
			try("nil")
		}
	}
	come("SET a 1 => +OK\nDEL a => 1", "SET b 1 => +OK\nGETDEL b => \"1\"",
		"MULTI => +OK\nSET a 1 => +QUEUED\nDEL a => +QUEUED\nEXEC => [+OK 1]", "SET a 1 => +OK\nFLUSHALL => +OK")
	c.want("WATCH never a b", "+OK")
	other.want("SET other 1", "+OK")
	other.want("DEL a", "0")
	try("[+OK]")
	c.want("SET a 1", "+OK")
	c.want("DEL a", "1")
	c.want("WATCH a", "+OK")
	try("[+OK]")
	c.want("WATCH a", "+OK") // and for a transaction that only reads
	script(t, other, "SET a 1 => +OK\nDEL a => 1")
	script(t, c, "MULTI => +OK\nGET a => +QUEUED\nEXEC => nil")

	w.log.level = 3 // a member of the cluster does not know the condition
	c.want("WATCH a", "+OK")
	try("[+OK]")
	c.want("WATCH a", "+OK")
	other.want("SET a 1", "+OK")
	try("nil")
}

// What a pipeline says must hold in its order, although writes are not applied when the next
// command is read.
func TestPipelineSeesItself(t *testing.T) {
	c := newWorld(t).dial()
	var b strings.Builder
	var want []string
	for i := range 200 {
		n := fmt.Sprint(i)
		for _, step := range [][2]string{
			{"SET k " + n, "+OK"}, {"GET k", `"` + n + `"`}, {"INCR k", fmt.Sprint(i + 1)}, {"APPEND k x", fmt.Sprint(len(fmt.Sprint(i+1)) + 1)},
			{"STRLEN k", fmt.Sprint(len(fmt.Sprint(i+1)) + 1)}, {"EXISTS k k", "2"}, {"KEYS *", `["k"]`}, {"DEL k", "1"}, {"DBSIZE", "0"}, {"MGET k k", "[nil nil]"},
		} {
			b.WriteString(encode(strings.Fields(step[0])...))
			want = append(want, step[1])
		}
	}
	go c.send(b.String())
	for i, w := range want {
		if got := c.reply(); got != w {
			t.Fatalf("reply %d: got %s, want %s", i, got, w)
		}
	}
}

// Bytes that arrive split must be answered as they are when they come at once.
func TestEverySplit(t *testing.T) {
	w := newWorld(t)
	session := encode("SET", "a", "1") + "GET a\r\n" + encode("MULTI") + encode("INCR", "a") + encode("EXEC") + "\r\n" + encode("APPEND", "a", "\r\n*1") + encode("GET", "a")
	want := `+OK "1" +OK +QUEUED [2] 5 "2\r\n*1"`
	for i := range len(session) {
		c := w.dial()
		c.send(session[:i])
		c.send(session[i:])
		var got []string
		for range 7 {
			got = append(got, c.reply())
		}
		if s := strings.Join(got, " "); s != want {
			t.Fatalf("split at %d: got %s, want %s", i, s, want)
		}
		_ = c.conn.Close()
	}
}

// A page on the web can have a browser send a request to the port: nothing of its body may run.
func TestBrowsersAreCutOff(t *testing.T) {
	w := newWorld(t)
	c := w.dial()
	for _, s := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET evil 1\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\nSET evil 1\r\n",
		"PUT /x HTTP/1.0\r\n\r\nSET evil 1\r\n", "Host: x\r\nSET evil 1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nSET evil 1\r\n",
		"\x16\x03\x01\x02\x00\x01\r\nSET evil 1\r\n", encode("POST", "/") + encode("SET", "evil", "1"),
	} {
		k := w.dial()
		k.send(s)
		if err := k.closed(); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	c.want("EXISTS evil", "0")
}

// Who writes all before it reads must be answered all.
func TestWritesBeforeReading(t *testing.T) {
	c := newWorld(t).dial()
	const n = 20_000
	var b strings.Builder
	for range n {
		b.WriteString(encode("INCR", "n"))
	}
	c.send(b.String())
	for i := range n {
		if got := c.reply(); got != fmt.Sprint(i+1) {
			t.Fatalf("reply %d: got %s", i, got)
		}
	}
}

// What is too large for a value must cost its command and no other.
func TestLargeValue(t *testing.T) {
	c := newWorld(t).dial()
	if got := c.words("SET", "a", strings.Repeat("x", 1<<20+1)); got != "-ERR string exceeds maximum allowed size (1048576 bytes)" {
		t.Errorf("got %.100s", got)
	}
	if got := c.words("SET", "a", strings.Repeat("x", 9<<20)); got != "-ERR string exceeds maximum allowed size (1048576 bytes)" {
		t.Errorf("got %.100s", got)
	}
	c.want("EXISTS a", "0")
}

// QUIT is the last command that is executed.
func TestQuit(t *testing.T) {
	w := newWorld(t)
	c := w.dial()
	c.send(encode("QUIT") + encode("SET", "a", "1"))
	if got := c.reply(); got != "+OK" {
		t.Errorf("got %s", got)
	}
	if err := c.closed(); err != nil {
		t.Error(err)
	}
	w.dial().want("EXISTS a", "0")
}
