package resp

import (
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"sync"

	"keywatch/kv"
	"keywatch/web/resp/wire"
)

const (
	errNoScripts refusal = "ERR keywatch runs no scripts but those of known lock libraries"
	errNoScript  refusal = "NOSCRIPT No matching script. Please use EVAL."
	// maxScript is the longest script that is looked at.
	maxScript = 16 << 10
)

// A script is one that a lock library sends, and what it does. It is recognised by its words:
// comments, blanks, semicolons, quotes and the names of locals do not count.
type script struct {
	keys, args int // how many it takes; args is at least so many
	source     string
	compile    func(c *call, keys []string, args [][]byte) (plan, error)
}

// scripts are the known ones.
var scripts = []script{
	// Delete if equal: Redis' own documentation, redis-py, redsync, redislock, node-redlock.
	{1, 1, `if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end`, releaseScript(0)},
	{1, 1, `local token = redis.call('get', KEYS[1]) if not token or token ~= ARGV[1] then return 0 end redis.call('del', KEYS[1]) return 1`, releaseScript(0)},
	{1, 1, `local val = redis.call("GET", KEYS[1]) if val == ARGV[1] then return redis.call("DEL", KEYS[1]) elseif val == false then return -1 else return 0 end`, releaseScript(-1)},
	{1, 1, `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end return 0`, releaseScript(0)},
	{1, 1, `if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) else return false end`, releaseScript(0)},
	// Another TTL if equal.
	{1, 2, `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("pexpire", KEYS[1], ARGV[2]) else return 0 end`, extendScript(false)},
	{1, 2, `if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("PEXPIRE", KEYS[1], ARGV[2]) end return 0`, extendScript(false)},
	{1, 2, `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("expire", KEYS[1], ARGV[2]) else return 0 end`, extendScript(true)},
	{1, 2, `local token = redis.call('get', KEYS[1]) if not token or token ~= ARGV[1] then return 0 end redis.call('pexpire', KEYS[1], ARGV[2]) return 1`, extendScript(false)},
	// redis-py: extend, which adds to what is left unless it is told to replace it.
	{1, 3, `local token = redis.call('get', KEYS[1]) if not token or token ~= ARGV[1] then return 0 end local expiration = redis.call('pttl', KEYS[1]) if not expiration then expiration = 0 end if expiration < 0 then return 0 end local newttl = ARGV[2] if ARGV[3] == "0" then newttl = ARGV[2] + expiration end redis.call('pexpire', KEYS[1], newttl) return 1`, extendMoreScript},
	// redsync: set again or extend.
	{1, 2, `if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("PEXPIRE", KEYS[1], ARGV[2]) elseif redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2], "NX") then return 1 else return 0 end`, acquireScript},
	// redislock: what is left.
	{1, 1, `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("pttl", KEYS[1]) else return -3 end`, leftScript},
}

// normal returns a script as its words, with locals numbered.
func normal(source string) string {
	var b strings.Builder
	locals := make(map[string]string)
	next := false
	for _, w := range tokens(source) {
		lower := strings.ToLower(w)
		switch {
		case lower == "local":
			next = true
			b.WriteString("local ")
			continue
		case next:
			locals[w] = string(rune('a'+len(locals))) + "#"
			next = false
		}
		if named, ok := locals[w]; ok {
			lower = named
		}
		b.WriteString(lower)
		b.WriteByte(' ')
	}
	return b.String()
}

// tokens takes a script of Lua apart, as far as the known ones need it.
func tokens(s string) (all []string) {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case strings.HasPrefix(s[i:], "--[["):
			if end := strings.Index(s[i:], "]]"); end >= 0 {
				i += end + 2
			} else {
				i = len(s)
			}
		case strings.HasPrefix(s[i:], "--"):
			if end := strings.IndexByte(s[i:], '\n'); end >= 0 {
				i += end
			} else {
				i = len(s)
			}
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';':
			i++
		case c == '"' || c == '\'':
			end := strings.IndexByte(s[i+1:], c)
			if end < 0 {
				return append(all, s[i:])
			}
			all = append(all, `"`+s[i+1:i+1+end]+`"`)
			i += end + 2
		case isWord(c):
			n := i
			for n < len(s) && isWord(s[n]) {
				n++
			}
			all = append(all, s[i:n])
			i = n
		case strings.HasPrefix(s[i:], "==") || strings.HasPrefix(s[i:], "~="):
			all = append(all, s[i:i+2])
			i += 2
		default:
			all = append(all, string(c))
			i++
		}
	}
	return all
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// known finds scripts by their words, and by the SHA-1 of each text that was seen.
var known struct {
	once    sync.Once
	byWords map[string]*script
}

func knownScript(source string) *script {
	known.once.Do(func() {
		known.byWords = make(map[string]*script)
		for i := range scripts {
			known.byWords[normal(scripts[i].source)] = &scripts[i]
		}
	})
	if len(source) > maxScript {
		return nil
	}
	return known.byWords[normal(source)]
}

// loaded remembers the texts of known scripts by their SHA-1. They are bounded: there are as
// many as a hostile client can spell known scripts, so beyond a bound the first are forgotten.
type loaded struct {
	mu    sync.Mutex
	bySum map[string]*script
	order []string
}

const maxLoaded = 1024

func (l *loaded) add(source string, k *script) string {
	sum := sha1.Sum([]byte(source))
	name := hex.EncodeToString(sum[:])
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bySum == nil {
		l.bySum = make(map[string]*script)
	}
	if l.bySum[name] == nil {
		if l.order = append(l.order, name); len(l.order) > maxLoaded {
			delete(l.bySum, l.order[0])
			l.order = l.order[1:]
		}
	}
	l.bySum[name] = k
	return name
}

func (l *loaded) find(sum string) *script {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bySum[strings.ToLower(sum)]
}

func scriptKeys(args [][]byte) (keys [][]byte) {
	if len(args) < 3 {
		return nil
	}
	n, _ := kv.ParseInteger(string(args[2]))
	if n < 0 || int(n) > len(args)-3 {
		return nil
	}
	return args[3 : 3+n]
}

func compileEval(c *call) (p plan, err error) {
	n, err := c.integer(2)
	switch {
	case err != nil:
		return p, err
	case n < 0:
		return p, refusal("ERR Number of keys can't be negative")
	case int(n) > len(c.args)-3:
		return p, refusal("ERR Number of keys can't be greater than number of args")
	}
	var k *script
	if c.cmd.name == "evalsha" {
		if k = c.v.loaded.find(string(c.args[1])); k == nil {
			return p, errNoScript
		}
	} else {
		if k = knownScript(string(c.args[1])); k == nil {
			return p, errNoScripts
		}
		c.v.loaded.add(string(c.args[1]), k)
	}
	var keys []string
	for i := range int(n) {
		key, err := c.key(3 + i)
		if err != nil {
			return p, err
		}
		keys = append(keys, key)
	}
	args := c.args[3+n:]
	if len(keys) != k.keys || len(args) < k.args {
		return p, refusal("ERR the script takes other keys and arguments")
	}
	return k.compile(c, keys, args)
}

func directScript(s *session, args [][]byte) []byte {
	switch sub := upper(args[1]); {
	case sub == "LOAD" && len(args) == 3:
		k := knownScript(string(args[2]))
		if k == nil {
			return errorText(errNoScripts)
		}
		return wire.AppendBulk(nil, s.server.loaded.add(string(args[2]), k))
	case sub == "EXISTS" && len(args) > 2:
		b := wire.AppendArray(nil, len(args)-2)
		for _, sum := range args[2:] {
			if s.server.loaded.find(string(sum)) != nil {
				b = append(b, textOne...)
			} else {
				b = append(b, textZero...)
			}
		}
		return b
	case sub == "FLUSH":
		return textOK
	case sub == "HELP":
		return help("SCRIPT", "EXISTS <sha1> [<sha1> ...]", "    Return which scripts are known.", "FLUSH", "    Accepted.", "LOAD <script>", "    Know a script of a lock library by its SHA-1.")
	}
	return errorText(unknownSub("script", args[1]))
}

func equalTo(key string, value []byte) kv.Check {
	return kv.Check{Kind: kv.CheckValue, Key: key, Value: append([]byte{}, value...)}
}

// releaseScript deletes a key that has a value. absent is the answer if there is no such key.
func releaseScript(absent int64) func(*call, []string, [][]byte) (plan, error) {
	return func(_ *call, keys []string, args [][]byte) (plan, error) {
		return plan{checks: []kv.Check{equalTo(keys[0], args[0])}, ops: []kv.Op{del(keys[0])}, render: func(b []byte, c *call, r *kv.PartResult) []byte {
			if r.Outcome == kv.CheckFailed && r.Current == nil {
				return wire.AppendInt(b, absent)
			}
			return renderDone(b, c, r)
		}}, nil
	}
}

// extendScript gives a key that has a value another TTL.
func extendScript(seconds bool) func(*call, []string, [][]byte) (plan, error) {
	return func(c *call, keys []string, args [][]byte) (plan, error) {
		n, ok := kv.ParseInteger(string(args[1]))
		if !ok {
			return plan{}, errNotInteger
		}
		if seconds {
			n = min(n, maxSeconds) * 1000
		}
		return c.extend(keys[0], args[0], n)
	}
}

const maxSeconds = 1 << 50 / 1000

// extend is the plan that gives key ms milliseconds if it has a value.
func (c *call) extend(key string, value []byte, ms int64) (plan, error) {
	p := plan{checks: []kv.Check{equalTo(key, value)}, render: renderDone}
	end := c.ending(ms, false)
	if end.past {
		p.ops = []kv.Op{del(key)}
		return p, nil
	}
	op, err := c.touch(key, end, 0)
	p.ops = []kv.Op{op}
	return p, err
}

func extendMoreScript(c *call, keys []string, args [][]byte) (plan, error) {
	n, ok := kv.ParseInteger(string(args[1]))
	if !ok {
		return plan{}, errNotInteger
	}
	old, err := c.get(keys[0])
	switch {
	case err != nil:
		return plan{}, err
	case !old.there || old.value != string(args[0]) || old.deadline == 0:
		return text(textZero), nil
	}
	if string(args[2]) == "0" {
		n += max(1, old.deadline-c.logTime)
	}
	return c.extend(keys[0], args[0], n)
}

func acquireScript(c *call, keys []string, args [][]byte) (plan, error) {
	n, ok := kv.ParseInteger(string(args[1]))
	if !ok || n < 1 {
		return plan{}, errNotInteger
	}
	old, err := c.get(keys[0])
	if err != nil {
		return plan{}, err
	}
	if old.there && old.value != string(args[0]) {
		return text(textZero), nil
	}
	op := put(keys[0], args[0])
	end := c.ending(n, false)
	end.set(&op)
	return plan{ops: []kv.Op{op}, render: renderDone}, nil
}

func leftScript(_ *call, keys []string, args [][]byte) (plan, error) {
	return plan{
		checks: []kv.Check{equalTo(keys[0], args[0])}, ops: []kv.Op{get(keys[0])},
		render: func(b []byte, c *call, r *kv.PartResult) []byte {
			if r.Outcome != kv.Committed {
				return wire.AppendInt(b, -3)
			}
			return wire.AppendInt(b, remaining("pttl", r.Ops[0].Entry, c.logTime, c.distance))
		},
	}, nil
}
