package resp

import (
	"crypto/sha1"
	"crypto/sha256"
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

// A script is one that a lock library sends, and what it does.
type script struct {
	// keys and args are how many it takes, at least; many says that it may take more keys.
	keys, args int
	many       bool
	compile    func(c *call, keys []string, args [][]byte) (plan, error)
}

// scripts are the known ones, by the beginning of the SHA-256 of their words: comments, blanks,
// semicolons, kinds of quotes, case and the names of locals do not count.
var scripts = map[string]script{
	// Delete if equal: Redis' documentation, redislock, redis-py, redsync, and two spellings more.
	"2064af0f4afb9af72ea8f4a103e646b7": {1, 1, false, releaseScript(0)},
	"c33a6d605b9ef1dd1d43b7191b6b94cc": {1, 1, false, releaseScript(0)},
	"4456e3b2973dd35f6da3049eaa3aff68": {1, 1, false, releaseScript(-1)},
	"eae3fb40e304514d5eeeff9c16ddccc7": {1, 1, false, releaseScript(0)},
	"990122383f93b8b652d6cbe2923e4608": {1, 1, false, releaseOrNil},
	// Another TTL if equal: redislock and redsync, a spelling more, in seconds, redis-py.
	"d78ea1d152e4afb633cc6547b1c15eeb": {1, 2, false, extendScript(false)},
	"13acc637734e407a130ad7fe23d1f3b8": {1, 2, false, extendScript(false)},
	"a679063b7dd6ff9a438f4cc2470c9861": {1, 2, false, extendScript(true)},
	"2a8b544b0132d8553d3df18380d66fbb": {1, 2, false, extendScript(false)},
	// redis-py: more time, added to what is left or in its place.
	"25c69ba9df06de79eb91de7dc0d1ca84": {1, 3, false, extendMoreScript},
	// redsync: set again, or extend.
	"f04f5dbaf5fbdc444a4dceec092abafd": {1, 2, false, acquireScript},
	// redislock: what is left, and get or take up again.
	"886afb09aa0bbce7d3c8b7d91d34722a": {1, 1, false, leftScript},
	"5153bf10a46abaf5b49b59e3444f4898": {1, 3, false, obtainScript},
	// node-redlock: take, give back and extend, each of several keys.
	"2c0ce8609c0f626d04f0fdf3802f37d3": {1, 2, true, lockAllScript},
	"cdd56e13706d97d24f2ad891041ad227": {1, 1, true, unlockAllScript},
	"766098dd48974a2f72f706176443ff87": {1, 2, true, extendAllScript},
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

// knownScript returns what a script does, nil if it is not known.
func knownScript(source string) *script {
	if len(source) > maxScript {
		return nil
	}
	sum := sha256.Sum256([]byte(normal(source)))
	k, ok := scripts[hex.EncodeToString(sum[:16])]
	if !ok {
		return nil
	}
	return &k
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

func scriptPlaces(args [][]byte) (places []int) {
	if len(args) < 3 {
		return nil
	}
	n, _ := kv.ParseInteger(string(args[2]))
	if n < 0 || int(n) > len(args)-3 {
		return nil
	}
	for i := range int(n) {
		places = append(places, 3+i)
	}
	return places
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
	if len(keys) < k.keys || len(keys) > k.keys && !k.many || len(args) < k.args {
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
