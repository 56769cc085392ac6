package resp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/web/resp"
)

func escaping(o *resp.Options) { o.EscapeKeys = true }

// stored returns the stored keys, in order, as HTTP lists them.
func (w *world) stored() (keys []string) {
	w.t.Helper()
	snap, err := w.store.Snapshot(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer snap.Close()
	for key := range snap.Scan("", "") {
		keys = append(keys, key)
	}
	return keys
}

// put writes a key as HTTP does.
func (w *world) put(key, value string) {
	w.t.Helper()
	if _, err := w.store.Do(w.t.Context(), &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: []byte(value)}}}); err != nil {
		w.t.Fatal(err)
	}
}

// listed returns the names that KEYS shows, sorted, each in quotes.
func (c *client) listed(pattern string) []string {
	keys := strings.Fields(strings.Trim(c.words("KEYS", pattern), "[]"))
	slices.Sort(keys)
	return keys
}

// Two names of one key, or one name of two, would have a client overwrite what it does not see; a name
// that is refused must change nothing.
func TestNamesOfKeys(t *testing.T) {
	long := strings.Repeat("x", kv.MaxKey)
	for _, row := range []struct{ name, strict, escape string }{
		{"a/b:c d", "a/b:c d", "a/b:c d"},
		{"", "-ERR bad key: it is empty", "%"},
		{"a//b", "-ERR bad key: a segment between slashes is empty", "a/%2Fb"},
		{"cache:https://x", "-ERR bad key: a segment between slashes is empty", "cache:https:/%2Fx"},
		{"a/", "-ERR bad key: it ends with a slash", "a%2F"},
		{"/", "-ERR bad key: a segment between slashes is empty", "%2F"},
		{"a/../b", `-ERR bad key: "." and ".." are not allowed as segments`, "a/%2E%2E/b"},
		{"\xff\x00\n", "-ERR bad key: it has a control character", "%FF%00%0A"},
		{"\xff", "-ERR bad key: it is not UTF-8", "%FF"},
		{"50%", "50%", "50%25"},
		{"a%2Fb", "a%2Fb", "a%252Fb"},
		{long, long, long},
		{long + "x", "-ERR bad key: it has 1025 bytes, 1024 are allowed", "-ERR bad key: it has 1025 bytes, 1024 are allowed"},
		{long[1:] + "%", long[1:] + "%", "-ERR bad key: it has 1026 bytes, 1024 are allowed"},
		{"locks/a", "-NOPERM keys under locks/ are written by lock commands only", "-NOPERM keys under locks/ are written by lock commands only"},
		{"%raw:a", "%raw:a", "-ERR bad key: what follows %raw: has another name"},
		{"%raw:a%zz", "%raw:a%zz", "a%zz"},
	} {
		for _, mode := range []struct {
			change []func(*resp.Options)
			want   string
		}{{nil, row.strict}, {[]func(*resp.Options){escaping}, row.escape}} {
			w := newWorld(t, mode.change...)
			c := w.dial()
			got := c.words("SET", row.name, "v")
			if strings.HasPrefix(mode.want, "-") {
				if keys := w.stored(); got != mode.want || len(keys) > 0 {
					t.Errorf("SET %.20q: got %s and keys %q, want %s and none", row.name, got, keys, mode.want)
				}
				c.want("PING", "+PONG")
				continue
			}
			name := fmt.Sprintf("%q", row.name)
			if keys := w.stored(); got != "+OK" || len(keys) != 1 || keys[0] != mode.want {
				t.Errorf("SET %.20q: got %s and keys %.40q, want %.40q", row.name, got, keys, mode.want)
			}
			for _, say := range [][2]string{{"GET", `"v"`}, {"STRLEN", "1"}, {"EXISTS", "1"}, {"TTL", "-1"}, {"APPEND", "2"}, {"EXPIRE", "1"}, {"PERSIST", "1"}} {
				args := []string{say[0], row.name}
				if say[0] == "APPEND" || say[0] == "EXPIRE" {
					args = append(args, "9")
				}
				if got := c.words(args...); got != say[1] {
					t.Errorf("%s %.20q: got %s, want %s", say[0], row.name, got, say[1])
				}
			}
			for _, say := range [][]string{{"RANDOMKEY"}, {"KEYS", "*"}, {"SCAN", "0"}} {
				if got := c.words(say...); !strings.Contains(got, name) {
					t.Errorf("%s of %.20q: got %s", say[0], row.name, got)
				}
			}
			if got := c.words("DEL", row.name); got != "1" || len(w.stored()) > 0 {
				t.Errorf("DEL %.20q: got %s", row.name, got)
			}
		}
	}
}

// Every command must find the key that another one has written under its name.
func TestEveryCommandEscapes(t *testing.T) {
	w := newWorld(t, escaping)
	c := w.dial()
	c.want("SET a//b 1", "+OK")
	for line, want := range map[string]string{
		"MGET a//b x//y": `["1" nil]`, "TYPE a//b": "+string", "OBJECT ENCODING a//b": `"int"`, "TOUCH a//b": "1", "GETRANGE a//b 0 0": `"1"`,
		"COMMAND GETKEYS GET a//b": `["a//b"]`, "COMMAND GETKEYS MEMORY USAGE a//b": `["a//b"]`, "SETNX a//b 2": "0", "WATCH a//b": "+OK", "UNWATCH": "+OK",
		"KW.CAS a//b 99 x": "[0 1 1]", "EVALSHA 0000000000000000000000000000000000000000 1 a//b x": "-NOSCRIPT No matching script. Please use EVAL.",
	} {
		c.want(line, want)
	}
	if got := c.say("MEMORY USAGE a//b"); got == "nil" {
		t.Error("MEMORY USAGE finds nothing")
	}
	for _, line := range [][2]string{
		{"COPY a//b c//d", "1"}, {"RENAME c//d e//f", "+OK"}, {"MSETEX 2 g// 1 //h 2", "1"}, {"MSET i/. 1 j 2", "+OK"}, {"INCR e//f", "2"}, {"GETDEL e//f", `"2"`},
		{"MULTI", "+OK"}, {"SET k//l 1", "+QUEUED"}, {"GET k//l", "+QUEUED"}, {"EXEC", `[+OK "1"]`}, {"UNLINK k//l j", "2"},
	} {
		c.want(line[0], line[1])
	}
	release := `if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end`
	if got := c.words("EVAL", release, "1", "i/.", "1"); got != "1" {
		t.Errorf("EVAL: got %s, want 1", got)
	}
	if got, want := w.stored(), []string{"%2F/h", "a/%2Fb", "g/%2F"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A pattern is one of names, not of what they are stored as: nothing may be missing, and nothing come twice.
func TestPatternsAreOfNames(t *testing.T) {
	w := newWorld(t, escaping)
	c := w.dial()
	names := []string{"", "p", "p/", "p/1", "p//", "p//1", "p/.", "p/..", "p/./x", "p/.x", "%", "%r", "p\xc3", "p\xc3\xa9", "%raw:p%41", "q%2F"}
	for _, name := range names {
		if got := c.words("SET", name, "v"); got != "+OK" {
			t.Fatalf("SET %q: got %s", name, got)
		}
	}
	for pattern, want := range map[string][]string{
		"*": names, "p*": {"p", "p/", "p/1", "p//", "p//1", "p/.", "p/..", "p/./x", "p/.x", "p\xc3", "p\xc3\xa9"},
		"p/*": {"p/", "p/1", "p//", "p//1", "p/.", "p/..", "p/./x", "p/.x"}, "p//*": {"p//", "p//1"}, "p/.*": {"p/.", "p/..", "p/./x", "p/.x"},
		"%*": {"%", "%r", "%raw:p%41"}, "%raw:*": {"%raw:p%41"}, "p\xc3*": {"p\xc3", "p\xc3\xa9"}, "q%2*": {"q%2F"}, "q%252*": nil, "p/": {"p/"}, "": {""},
	} {
		var quoted []string
		for _, name := range want {
			quoted = append(quoted, fmt.Sprintf("%q", name))
		}
		slices.Sort(quoted)
		if got := c.listed(pattern); !slices.Equal(got, quoted) {
			t.Errorf("KEYS %q: got %s, want %s", pattern, got, quoted)
		}
		var scanned []string
		cursor, next, keys, ok := "0", "", "", false
		for range 100 {
			if next, keys, ok = strings.Cut(strings.TrimSuffix(strings.TrimPrefix(c.words("SCAN", cursor, "COUNT", "1", "MATCH", pattern), `["`), "]]"), `" [`); !ok {
				t.Fatalf("SCAN MATCH %q: got %s", pattern, next)
			}
			scanned = append(scanned, strings.Fields(keys)...)
			if cursor = next; cursor == "0" {
				break
			}
		}
		slices.Sort(scanned)
		if !slices.Equal(scanned, quoted) {
			t.Errorf("SCAN MATCH %q: got %s, want %s", pattern, scanned, quoted)
		}
	}
	w.put("p/%2f", "v") // no escaped name
	if got := c.words("GET", "%raw:p/%2f"); got != `"v"` {
		t.Errorf("got %s, want what HTTP has written", got)
	}
}

// Who is told of a key must be told the name that it knows.
func TestTellingEscapes(t *testing.T) {
	w := newWorld(t, escaping)
	c, sub, cache, all, watcher, lines := w.dial(), w.dial(), w.dial(), w.dial(), w.dial(), w.dial()
	sub.want("SUBSCRIBE __keyspace@0__:a//b", `["subscribe" "__keyspace@0__:a//b" 1]`)
	sub.want("PSUBSCRIBE __keyevent@0__:s*", `["psubscribe" "__keyevent@0__:s*" 2]`)
	cache.say("HELLO 3")
	cache.want("CLIENT TRACKING ON", "+OK")
	cache.want("GET a//b", "nil")
	all.say("HELLO 3")
	all.want("CLIENT TRACKING ON BCAST PREFIX a//", "+OK")
	watcher.say("HELLO 3")
	watcher.want("KW.WATCH w PREFIX a// KEY \xff LIVE", "+OK")
	lines.want("SUBSCRIBE kw:watch?prefix=a//&key=%FF&state=0", `["subscribe" "kw:watch?prefix=a//&key=%FF&state=0" 1]`)
	watcher.reply() // synced
	lines.reply()
	c.want("SET a//b 1", "+OK")
	if got := c.words("SET", "\xff", "2"); got != "+OK" {
		t.Fatal(got)
	}
	c.want("SET a// 3", "+OK")
	for who, want := range map[*client][]string{
		sub:   {`["message" "__keyspace@0__:a//b" "set"]`, `["pmessage" "__keyevent@0__:s*" "__keyevent@0__:set" "a//b"]`, `["pmessage" "__keyevent@0__:s*" "__keyevent@0__:set" "\xff"]`},
		cache: {`>["invalidate" ["a//b"]]`}, all: {`>["invalidate" ["a//b"]]`, `>["invalidate" ["a//"]]`},
		watcher: {`>["kw.watch" "w" "put" "a//b" "1" 1 1 nil "7f3a9c21-1"]`, `>["kw.watch" "w" "put" "\xff" "2" 2 1 nil "7f3a9c21-2"]`, `>["kw.watch" "w" "put" "a//" "3" 3 1 nil "7f3a9c21-3"]`},
	} {
		for _, want := range want {
			if got := who.reply(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	for _, want := range []string{`{"type":"put","key":"a//b","value":"1","rev":1,`, `{"type":"put","key":"/w==","key_encoding":"base64","value":"2","rev":2,`, `{"type":"put","key":"a//","value":"3","rev":3,`} {
		if got := lines.reply(); !strings.Contains(got, strings.ReplaceAll(want, `"`, `\"`)) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	watcher.want("KW.WATCH x PREFIX a/.", "-ERR bad key: what begins so cannot be watched with --resp-keys=escape")
}

// Permissions are on stored keys: an escaped name must be no way around them, nor a prefix beyond it.
func TestPermissionsAreOnStoredKeys(t *testing.T) {
	s := newSecured(t, escaping)
	admin := s.as(s.secret)
	admin.want("MSET a//b 1 a/c 2 a/ 3 b%2Fc 4", "+OK")
	ann := s.as(s.user("ann", "read,write,watch:a/"))
	for _, line := range [][2]string{
		{"GET a//b", `"1"`}, {"GET a/c", `"2"`}, {"SET a//b 5", "+OK"}, {"KEYS a/*", `["a//b" "a/c"]`}, {"SCAN 0 MATCH a/*", `["0" ["a//b" "a/c"]]`},
		{"GET a/", "-NOPERM No permissions to access a key: requires read:a%2F"}, {"SET a/ 1", "-NOPERM No permissions to access a key: requires write:a%2F"},
		{"DEL b%2Fc", "-NOPERM No permissions to access a key: requires write:b%252Fc"}, {"MEMORY USAGE b%2Fc", "-NOPERM No permissions to access a key: requires read:b%252Fc"},
		{"COPY a/c b//c", "-NOPERM No permissions to access a key: requires write:b/%2Fc"}, {"KEYS a*", "-NOPERM No permissions to access a key: requires read:a*"},
		{"SUBSCRIBE __keyspace@0__:a/", "-NOPERM No permissions to access a channel: requires read:a%2F"},
	} {
		ann.want(line[0], line[1])
	}
	admin.want("KEYS a/*", `["a/" "a//b" "a/c"]`)
	ann.say("HELLO 3")
	ann.want("CLIENT TRACKING ON BCAST PREFIX a/", "+OK")
	ann.want("KW.WATCH w PREFIX a/ LIVE", "+OK")
	ann.reply()
	admin.want("MSET a/ 4 a//z 5", "+OK")
	got := []string{ann.reply(), ann.reply()}
	slices.Sort(got)
	if want := []string{`>["invalidate" ["a//z"]]`, `>["kw.watch" "w" "put" "a//z" "5" 7 1 nil "7f3a9c21-7"]`}; !slices.Equal(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}
