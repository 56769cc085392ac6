package resp_test

import (
	"slices"
	"strings"
	"testing"

	"keywatch/auth"
	"keywatch/web/resp"
)

// matrix has lines that use each command, and the grants that are just enough; none is that any
// caller may. A command that is missing here, or in the table of needs, fails the test.
var matrix = []struct{ name, lines, grants string }{
	{"get", "GET a", "read:a"}, {"mget", "MGET a b", "read:a read:b"}, {"strlen", "STRLEN a", "read:a"},
	{"getrange", "GETRANGE a 0 1", "read:a"}, {"substr", "SUBSTR a 0 1", "read:a"}, {"kw.get", "KW.GET a", "read:a"},
	{"exists", "EXISTS a b", "read:a read:b"}, {"touch", "TOUCH a", "read:a"}, {"type", "TYPE a", "read:a"}, {"ttl", "TTL a", "read:a"},
	{"pttl", "PTTL a", "read:a"}, {"expiretime", "EXPIRETIME a", "read:a"}, {"pexpiretime", "PEXPIRETIME a", "read:a"},
	{"object|encoding", "OBJECT ENCODING a", "read:a"}, {"object|refcount", "OBJECT REFCOUNT a", "read:a"},
	{"memory|usage", "MEMORY USAGE a", "read:a"}, {"watch", "WATCH a b", "read:a read:b"},
	{"set", "SET a 1", "write:a"}, {"set", "SET a 1 NX", "write:a"}, {"set", "SET a 1 GET", "write:a read:a"}, {"set", "SET a 1 XX GET", "write:a read:a"},
	{"set", "SET a 1 IFEQ 2", "write:a read:a"}, {"set", "SET a 1 IFNE 2", "write:a read:a"},
	{"setnx", "SETNX a 1", "write:a"}, {"setex", "SETEX a 9 1", "write:a"}, {"psetex", "PSETEX a 9000 1", "write:a"},
	{"getset", "GETSET a 1", "read:a write:a"}, {"getdel", "GETDEL a", "read:a write:a"}, {"getex", "GETEX a", "read:a"},
	{"getex", "GETEX a EX 9", "read:a write:a"}, {"getex", "GETEX a PERSIST", "read:a write:a"}, {"getex", "GETEX a PXAT 1", "read:a write:a"},
	{"mset", "MSET a 1 b 2", "write:a write:b"}, {"msetnx", "MSETNX a 1 b 2", "write:a write:b"}, {"msetex", "MSETEX 2 a 1 b 2 EX 9", "write:a write:b"},
	{"append", "APPEND a x", "read:a write:a"}, {"setrange", "SETRANGE a 0 x", "read:a write:a"},
	{"incr", "SET a 1; INCR a", "read:a write:a"}, {"decr", "SET a 1; DECR a", "read:a write:a"}, {"incrby", "SET a 1; INCRBY a 2", "read:a write:a"},
	{"decrby", "SET a 1; DECRBY a 2", "read:a write:a"}, {"incrbyfloat", "SET a 1; INCRBYFLOAT a 1", "read:a write:a"},
	{"del", "DEL a b", "write:a write:b"}, {"unlink", "UNLINK a", "write:a"}, {"delex", "DELEX a", "write:a"}, {"delex", "DELEX a IFEQ 1", "write:a read:a"},
	{"delex", "DELEX a IFNE 1", "write:a read:a"}, {"delifeq", "DELIFEQ a 1", "write:a read:a"},
	{"rename", "RENAME a b", "read:a write:a write:b"}, {"renamenx", "RENAMENX a b", "read:a write:a write:b"}, {"copy", "COPY a b REPLACE", "read:a write:b"},
	{"expire", "EXPIRE a 9", "write:a"}, {"expire", "EXPIRE a 9 NX", "write:a read:a"}, {"expire", "EXPIRE a -1 LT", "write:a read:a"}, {"pexpire", "PEXPIRE a 9000", "write:a"},
	{"expireat", "EXPIREAT a 9999999999", "write:a"}, {"pexpireat", "PEXPIREAT a 9999999999000", "write:a"}, {"persist", "PERSIST a", "read:a write:a"},
	{"expire", "EXPIRE large 9", "write:large"},
	{"kw.cas", "KW.CAS a 0 x", "write:a"}, {"kw.cad", "KW.CAD a 5", "write:a"},
	{"kw.check", "MULTI; KW.CHECK a REV 0; EXEC", "read:a"}, {"kw.check", "MULTI; KW.CHECK a VALUE x; SET a 1; EXEC", "write:a read:a"},
	{"kw.check", "MULTI; KW.CHECK a EXISTS; SET a 1; EXEC", "write:a"},
	{"kw.fence", "MULTI; KW.FENCE l 7; SET a 1; EXEC", "write:a lock:l"}, {"kw.idem", "MULTI; KW.IDEM k; SET a 1; EXEC", "write:a"},
	{"kw.holder", "KW.HOLDER l", "read:locks/l"},
	{"eval", "EVAL {release} 1 a x", "write:a read:a"}, {"evalsha", "SCRIPT LOAD {release}; EVALSHA {sha} 1 a x", "write:a read:a"},
	{"scan", "SCAN 0 MATCH p/* COUNT 5", "read:p/"}, {"scan", "SCAN 0", "read:*"}, {"keys", "KEYS p/*", "read:p/"}, {"keys", "KEYS *", "read:*"},
	{"randomkey", "RANDOMKEY", "read:*"}, {"dbsize", "DBSIZE", "read:*"}, {"dbsize", "MULTI; DBSIZE; EXEC", "read:*"},
	{"flushdb", "FLUSHDB", "write:*"}, {"flushall", "FLUSHALL", "write:*"}, {"flushall", "MULTI; FLUSHALL; EXEC", "write:*"},
	{"kw.lock", "KW.LOCK l 5000", "lock:l"}, {"kw.unlock", "KW.UNLOCK l 7", "lock:l"}, {"kw.renew", "KW.RENEW l 7", "lock:l"},
	{"kw.lease|grant", "KW.LEASE GRANT 5000", "lease"}, {"kw.lease|renew", "KW.LEASE RENEW {lease}", "lease"}, {"kw.lease|revoke", "KW.LEASE REVOKE {lease}", "lease"},
	{"kw.lease|get", "KW.LEASE GET {lease}", "lease"}, {"kw.lease|bind", "KW.LEASE BIND {lease}", "lease"}, {"kw.lease|unbind", "KW.LEASE UNBIND {lease}", "lease"},
	{"subscribe", "SUBSCRIBE __keyspace@0__:a", "read:a watch:a"}, {"subscribe", "SUBSCRIBE __keyevent@0__:set", "read:* watch:*"},
	{"subscribe", "SUBSCRIBE kw:watch?prefix=p/", "read:p/ watch:p/"}, {"subscribe", "SUBSCRIBE anything", ""}, {"subscribe", "MULTI; SUBSCRIBE __keyspace@0__:a; EXEC", "read:a watch:a"},
	{"psubscribe", "PSUBSCRIBE __keyspace@0__:p/*", "read:p/ watch:p/"}, {"psubscribe", "PSUBSCRIBE *", "read:* watch:*"}, {"psubscribe", "PSUBSCRIBE __key*", "read:* watch:*"},
	{"psubscribe", "PSUBSCRIBE other*", ""}, {"unsubscribe", "UNSUBSCRIBE a", ""}, {"punsubscribe", "PUNSUBSCRIBE a", ""},
	{"kw.watch", "HELLO 3; KW.WATCH w KEY a PREFIX p/", "read:a watch:a read:p/ watch:p/"}, {"kw.unwatch", "KW.UNWATCH w", ""},
	{"client|tracking", "HELLO 3; CLIENT TRACKING ON BCAST PREFIX p/", "read:p/ watch:p/"}, {"client|tracking", "HELLO 3; CLIENT TRACKING ON BCAST", "read:* watch:*"},
	{"client|tracking", "CLIENT TRACKING ON", ""},
	{"pubsub|channels", "PUBSUB CHANNELS", "operate"}, {"pubsub|numsub", "PUBSUB NUMSUB a", "operate"}, {"pubsub|numpat", "PUBSUB NUMPAT", "operate"}, {"pubsub|help", "PUBSUB HELP", ""},
	{"client|list", "CLIENT LIST", "operate"}, {"client|kill", "CLIENT KILL ID 999", "operate"},
	{"config|set", "CONFIG SET notify-keyspace-events KEA", "operate"}, {"config|resetstat", "CONFIG RESETSTAT", "operate"}, {"config|get", "CONFIG GET save", ""},
	{"exec", "MULTI; EXEC", ""}, {"discard", "MULTI; DISCARD", ""}, {"multi", "MULTI", ""}, {"unwatch", "UNWATCH", ""},
	{"ping", "PING", ""}, {"echo", "ECHO x", ""}, {"select", "SELECT 0", ""}, {"acl|whoami", "ACL WHOAMI", ""}, {"time", "TIME", ""}, {"lolwut", "LOLWUT", ""},
	{"wait", "WAIT 0 0", ""}, {"waitaof", "WAITAOF 0 0 0", ""}, {"info", "INFO", ""}, {"command", "COMMAND", ""}, {"cluster", "CLUSTER INFO", ""},
	{"command|count", "COMMAND COUNT", ""}, {"command|list", "COMMAND LIST", ""}, {"command|info", "COMMAND INFO get", ""}, {"command|docs", "COMMAND DOCS get", ""},
	{"command|getkeys", "COMMAND GETKEYS GET a", ""}, {"script|load", "SCRIPT LOAD {release}", ""}, {"script|exists", "SCRIPT EXISTS x", ""}, {"script|flush", "SCRIPT FLUSH", ""},
	{"slowlog|get", "SLOWLOG GET", ""}, {"slowlog|len", "SLOWLOG LEN", ""}, {"slowlog|reset", "SLOWLOG RESET", ""},
	{"latency|latest", "LATENCY LATEST", ""}, {"latency|history", "LATENCY HISTORY x", ""}, {"latency|reset", "LATENCY RESET", ""},
	{"module|list", "MODULE LIST", ""}, {"function|flush", "FUNCTION FLUSH", ""}, {"function|list", "FUNCTION LIST", ""},
	{"client|id", "CLIENT ID", ""}, {"client|info", "CLIENT INFO", ""}, {"client|setname", "CLIENT SETNAME x", ""}, {"client|getname", "CLIENT GETNAME", ""},
	{"client|setinfo", "CLIENT SETINFO lib-name x", ""}, {"client|reply", "CLIENT REPLY ON", ""}, {"client|no-evict", "CLIENT NO-EVICT ON", ""},
	{"client|no-touch", "CLIENT NO-TOUCH ON", ""}, {"client|caching", "CLIENT CACHING YES", ""}, {"client|getredir", "CLIENT GETREDIR", ""},
	{"client|trackinginfo", "CLIENT TRACKINGINFO", ""}, {"client|unblock", "CLIENT UNBLOCK 1", ""},
}

// open are the commands that everyone may give, so as to prove who they are, or to end.
var open = []string{"AUTH {secret}", "HELLO 3 AUTH default {secret}", "QUIT", "RESET"}

// run says lines, and reports whether one of them is denied, and where the store was before that.
func (s *secured) run(c *client, lines string) (refused bool, last string) {
	sha := ""
	for line := range strings.SplitSeq(lines, "; ") {
		args := strings.Fields(line)
		for i := range args {
			switch args[i] {
			case "{release}":
				args[i] = `if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end`
			case "{sha}":
				args[i] = sha
			case "{lease}":
				args[i] = "l-0123456789abcdef0123456789abcdef"
			}
		}
		last = c.words(args...)
		for strings.HasPrefix(last, ">") && !strings.Contains(last, "subscribe") { // told beside the replies
			last = c.reply()
		}
		sha = strings.Trim(last, `"`)
		refused = refused || denied(last)
	}
	return refused, last
}

// Every command must refuse who has proved nothing, and who may do all but one of what it requires,
// and change nothing then; and serve who may do just that.
func TestEveryCommandAsksWhoMay(t *testing.T) {
	s := newSecured(t)
	ann := s.user("ann")
	others := []string{"read,write,watch:zz/", "lock:zz", "metrics,backup,cluster"}
	s.as(s.secret).want("SET large "+strings.Repeat("x", 2000), "+OK")
	for _, c := range matrix {
		enough := append(slices.Clone(others), strings.Fields(c.grants)...)
		s.role("ann", enough...)
		s.prepare()
		if refused, reply := s.run(s.as(ann), c.lines); refused {
			t.Errorf("%s with %q: got %s, want to be served", c.lines, c.grants, reply)
		}
		for i := len(others); i < len(enough); i++ {
			s.role("ann", slices.Delete(slices.Clone(enough), i, i+1)...)
			s.prepare()
			s.refused(c.lines, ann, "without "+enough[i])
		}
		s.refused(c.lines, "", "without a credential")
	}
}

// prepare gives the keys that the matrix names values again.
func (s *secured) prepare() {
	s.as(s.secret).want("MSET a 1 b 2 p/1 x", "+OK")
}

// refused says lines that must be denied, and change nothing but what comes before that.
func (s *secured) refused(lines, secret, why string) {
	s.t.Helper()
	c := s.as(secret)
	before := s.store.State().Position().Rev
	refused, reply := s.run(c, lines)
	if !refused {
		s.t.Errorf("%s %s: got %s, want it denied", lines, why, reply)
	}
	if secret == "" && !strings.HasPrefix(reply, "-NOAUTH") && !strings.HasPrefix(reply, "-EXECABORT") && !strings.HasPrefix(reply, "-ERR") {
		s.t.Errorf("%s %s: got %s, want NOAUTH", lines, why, reply)
	}
	if at := s.store.State().Position().Rev; at != before && !strings.HasPrefix(lines, "SET a 1; ") {
		s.t.Errorf("%s %s: it took revision %d", lines, why, at)
	}
}

// A command without an entry in the table, or in the matrix above, is one that was forgotten.
func TestEveryCommandHasANeed(t *testing.T) {
	known := make(map[string]bool)
	for _, c := range matrix {
		name, _, _ := strings.Cut(c.name, "|")
		known[c.name], known[name] = true, true
	}
	for _, line := range open {
		name, _, _ := strings.Cut(strings.ToLower(line), " ")
		known[name] = true
	}
	all := resp.Commands()
	commands := 0
	for _, name := range all {
		if !strings.Contains(name, "|") {
			commands++
		}
		if !known[name] && !strings.HasSuffix(name, "|help") {
			t.Errorf("%s is not in the matrix", name)
		}
	}
	for name := range known {
		if !slices.Contains(all, name) {
			t.Errorf("%s is in the matrix, and is no command", name)
		}
	}
	if n := resp.Needs(); n != commands {
		t.Errorf("%d commands have an entry, of %d", n, commands)
	}
	s := newSecured(t)
	s.as(s.secret).want("GET a", "nil")
	s.server.Forget("get")
	s.as(s.secret).want("GET a", "-NOPERM User admin has no permissions to run the 'get' command: requires nothing that can be granted")
}

// Who has proved nothing must be able to, or to leave.
func TestOpenCommands(t *testing.T) {
	s := newSecured(t)
	for _, line := range open {
		line = strings.ReplaceAll(line, "{secret}", auth.NewSecret(auth.Key))
		if got := s.dial().say(line); strings.HasPrefix(got, "-NOAUTH") || strings.HasPrefix(got, "-NOPERM") {
			t.Errorf("%s: got %s", line, got)
		}
	}
}
