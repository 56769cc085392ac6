package resp_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/test/gate"
)

// A cacher is a client that caches what it reads, as libraries do, in a store that others write. It judges
// what it is told: at each check what it has cached must be what the store has.
type cacher struct {
	t      testing.TB
	w      *world
	random *rand.Rand
	// data has the commands. told has the invalidations, where that is another connection.
	data, told *client
	// on is what begins tracking; bcast, noloop, optin and optout are said in it.
	on                           string
	bcast, noloop, optin, optout bool
	// table is how many keys the table of tracking may hold; then others are told although nothing has changed.
	table string
	// loses, if not 0, has it ignore so manieth invalidations: the fault that the judge must find.
	loses, seen int

	mu       sync.Mutex
	cache    map[string]string
	awaits   map[string]int  // how many replies of each key are awaited
	outdated map[string]bool // of those, which key was invalidated meanwhile
	tracks   bool            // once the replies so far are read
	faults   []string
	sentinel chan struct{}
}

const (
	cachedKeys = 6
	sentinel   = "ks"
)

func (k *cacher) fault(format string, args ...any) {
	k.faults = append(k.faults, fmt.Sprintf(format, args...))
}

func (k *cacher) key() string { return "k" + strconv.Itoa(k.random.IntN(cachedKeys)) }

// invalidate takes note of an invalidation: of one key, or of all where that is nil.
func (k *cacher) invalidate(message string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.tracks && k.told == k.data {
		k.fault("told %s without tracking", message)
	}
	k.seen++
	keys := strings.Fields(strings.Trim(message[strings.LastIndex(message, `e" `)+3:], "[]"))
	for _, name := range keys {
		name = strings.Trim(name, `"`)
		if name == sentinel {
			close(k.sentinel)
			k.sentinel = make(chan struct{})
		} else if k.loses > 0 && k.seen%k.loses == 0 {
			continue
		}
		if name == "nil" {
			clear(k.cache)
			for key := range k.awaits {
				k.outdated[key] = true
			}
			continue
		}
		delete(k.cache, name)
		k.outdated[name] = k.awaits[name] > 0
	}
}

// listen reads what a connection is told that is for nothing else, until it ends.
func (k *cacher) listen() {
	for {
		message, err := k.told.read()
		if err != nil {
			return
		}
		k.invalidate(message)
	}
}

// reply reads a reply, and what it is told before.
func (k *cacher) reply() string {
	for {
		got := k.data.reply()
		if strings.HasPrefix(got, `>["invalidate" `) {
			k.invalidate(got)
			continue
		}
		if strings.Contains(got, "invalidate") {
			k.fault("told within a reply: %s", got)
		}
		return got
	}
}

// A caching is one command that was sent: what its reply means to the cache.
type caching struct {
	keys []string
	// caches says that the values are cached, wrote is what it has written, off and starts that tracking
	// ends, or begins, with it.
	caches, off, starts bool
	wrote               string
	nested              bool // the values are those of a MULTI
}

// batch sends a random pipeline and handles its replies.
func (k *cacher) batch(seq *int) {
	var b strings.Builder
	var sent []caching
	on := k.tracks
	add := func(c caching, args ...string) { b.WriteString(encode(args...)); sent = append(sent, c) }
	for range 1 + k.random.IntN(8) {
		caches := on && !k.optin
		if on && (k.optin || k.optout) && k.random.IntN(2) == 0 {
			caches = k.optin
			add(caching{}, "CLIENT", "CACHING", map[bool]string{true: "YES", false: "NO"}[k.optin])
		}
		switch key, other := k.key(), k.key(); k.random.IntN(8) {
		case 0:
			*seq++
			add(caching{keys: []string{key}, wrote: "mine" + strconv.Itoa(*seq)}, "SET", key, "mine"+strconv.Itoa(*seq))
		case 1:
			add(caching{keys: []string{key, other}, caches: caches}, "MGET", key, other)
		case 2:
			add(caching{}, "MULTI")
			add(caching{}, "GET", key)
			add(caching{}, "GET", other)
			add(caching{keys: []string{key, other}, caches: caches, nested: true}, "EXEC")
		case 3:
			add(caching{}, "PING")
		case 4:
			if on = !on; on {
				add(caching{starts: true}, strings.Fields(k.on)...)
			} else {
				add(caching{off: true}, "CLIENT", "TRACKING", "OFF")
			}
		default:
			add(caching{keys: []string{key}, caches: caches}, "GET", key)
		}
	}
	k.mu.Lock()
	for _, c := range sent {
		for _, key := range c.keys {
			k.awaits[key]++
		}
	}
	k.mu.Unlock()
	k.data.send(b.String())
	for i := range sent {
		k.take(&sent[i], k.reply())
	}
}

// take has the cache be what a reply makes of it.
func (k *cacher) take(c *caching, reply string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if strings.HasPrefix(reply, "-") {
		k.fault("got %s", reply)
	}
	values := []string{reply}
	if len(c.keys) > 1 {
		values = strings.Fields(strings.Trim(reply, "[]"))
	}
	for i, key := range c.keys {
		if k.awaits[key]--; k.awaits[key] == 0 {
			delete(k.awaits, key)
		}
		switch {
		case c.wrote != "" && k.noloop && k.bcast && k.tracks && k.told == k.data:
			k.cache[key] = strconv.Quote(c.wrote)
		case c.wrote != "":
			delete(k.cache, key)
		case c.caches && (k.told == k.data || !k.outdated[key]):
			k.cache[key] = values[i]
		}
		if k.awaits[key] == 0 {
			delete(k.outdated, key)
		}
	}
	if c.off || c.starts {
		k.tracks = c.starts
		clear(k.cache)
	}
}

// check compares the cache to the store, once all was told that has happened. other writes.
func (k *cacher) check(other *client) {
	if !k.tracks {
		k.data.send(encode(strings.Fields(k.on)...))
		k.take(&caching{starts: true}, k.reply())
	}
	other.words("CONFIG", "SET", "tracking-table-max-keys", "0") // so that the next one says that it was written
	defer other.words("CONFIG", "SET", "tracking-table-max-keys", k.table)
	k.mu.Lock()
	told := k.sentinel
	k.mu.Unlock()
	if k.optin {
		k.data.send(encode("CLIENT", "CACHING", "YES"))
		k.reply()
	}
	k.data.send(encode("GET", sentinel))
	k.reply()
	other.words("SET", sentinel, "v")
	for k.told == k.data {
		select {
		case <-told:
		default:
			k.invalidate(k.data.reply())
			continue
		}
		break
	}
	select {
	case <-told:
	case <-gate.Context(k.t).Done():
		k.t.Fatal("it is not told of the last write")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, value := range k.cache {
		e, _ := k.w.store.State().Get(key)
		have := "nil"
		if e != nil {
			have = strconv.Quote(e.Value())
		}
		if value != have {
			k.fault("%s is cached as %s and is %s", key, value, have)
		}
	}
}

// cachers are the ways to track: over RESP3, or over RESP2 with another connection that is told.
var cachers = []struct{ name, options string }{
	{"default", ""}, {"noloop", "NOLOOP"}, {"optin", "OPTIN"}, {"optout", "OPTOUT NOLOOP"}, {"bcast", "BCAST"}, {"bcast noloop", "BCAST PREFIX k NOLOOP"},
	{"redirect", "REDIRECT"}, {"redirect noloop", "REDIRECT NOLOOP"}, {"redirect optin", "REDIRECT OPTIN"}, {"redirect bcast", "REDIRECT BCAST"},
}

// newCacher connects a cacher.
func (w *world) newCacher(options string, random *rand.Rand) *cacher {
	k := &cacher{
		t: w.t, w: w, random: random, data: w.dial(), cache: make(map[string]string), awaits: make(map[string]int), outdated: make(map[string]bool),
		sentinel: make(chan struct{}), table: "100", bcast: strings.Contains(options, "BCAST"), noloop: strings.Contains(options, "NOLOOP"),
		optin: strings.Contains(options, "OPTIN"), optout: strings.Contains(options, "OPTOUT"),
	}
	k.told = k.data
	if strings.Contains(options, "REDIRECT") {
		k.told = w.dial()
		options = strings.Replace(options, "REDIRECT", "REDIRECT "+k.told.say("CLIENT ID"), 1)
		k.told.want("SUBSCRIBE __redis__:invalidate", `["subscribe" "__redis__:invalidate" 1]`)
		_ = k.told.conn.SetReadDeadline(time.Time{})
		go k.listen()
	} else {
		k.data.say("HELLO 3")
	}
	k.on = "CLIENT TRACKING ON " + options
	return k
}

// disturb writes keys at random as long as the cacher reads: as commands, in transactions, all at once.
func disturb(c *client, random *rand.Rand, seq *int) {
	key := func() string { return "k" + strconv.Itoa(random.IntN(cachedKeys)) }
	for range 12 {
		*seq++
		value := "v" + strconv.Itoa(*seq)
		switch random.IntN(12) {
		case 0:
			c.words("FLUSHALL")
		case 1, 2:
			c.words("DEL", key(), key())
		case 3:
			c.words("MSET", key(), value, key(), value)
		case 4:
			c.send(encode("MULTI") + encode("SET", key(), value) + encode("DEL", key()) + encode("EXEC"))
			for range 4 {
				c.reply()
			}
		default:
			c.words("SET", key(), value)
		}
	}
}

// run has a cacher read beside writers, and be checked, for some rounds.
func (k *cacher) run(rounds int, seed uint64) {
	k.t.Helper()
	other, random := k.w.dial(), rand.New(rand.NewPCG(seed, 2))
	k.data.send(encode(strings.Fields(k.on)...))
	k.take(&caching{starts: true}, k.reply())
	mine, others := 0, 0
	for range rounds {
		var writing sync.WaitGroup
		writing.Go(func() { disturb(other, random, &others) })
		for range 6 {
			k.batch(&mine)
		}
		writing.Wait()
		k.check(other)
	}
}

// A value that is cached must be no older than the last invalidation that the client was told allows;
// without tracking nothing is told, and nothing within a reply.
func TestCachingClient(t *testing.T) {
	seed := gate.Seed(t)
	for i, mode := range cachers {
		t.Run(mode.name, func(t *testing.T) {
			w := newWorld(t)
			k := w.newCacher(mode.options, rand.New(rand.NewPCG(seed, uint64(i))))
			if i%2 == 1 {
				k.table = "4"
			}
			k.run(12, seed)
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.seen == 0 {
				t.Error("it was told nothing")
			}
			for _, fault := range k.faults {
				t.Error(fault)
			}
		})
	}
}

// Without this the judge above could be one that finds nothing: a client that misses some of what it is
// told must be found out, in each way to track.
func TestCachingJudgeFindsLoss(t *testing.T) {
	seed := gate.Seed(t)
	for i, mode := range cachers {
		w := newWorld(t)
		k := w.newCacher(mode.options, rand.New(rand.NewPCG(seed, uint64(i))))
		k.loses = 3
		for rounds := 0; len(k.faults) == 0; rounds++ {
			if rounds == 50 {
				t.Errorf("%s: a third of what it is told was lost, and nothing found", mode.name)
				break
			}
			k.run(2, seed+uint64(rounds))
		}
	}
}
