package resp_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"keywatch/kv"
	"keywatch/test/gate"
)

// A coldDisk has what checkpoints wrote. Others run before a read of it returns.
type coldDisk struct {
	mu      sync.Mutex
	records map[kv.Locator][]byte
	reads   atomic.Int64
}

// ReadCold implements kv.ColdReader.
func (d *coldDisk) ReadCold(_ context.Context, ref kv.ColdRef) (string, error) {
	d.reads.Add(1)
	for range 20 {
		runtime.Gosched()
	}
	d.mu.Lock()
	b := d.records[ref.At]
	d.mu.Unlock()
	return ref.ParseValue(b)
}

// evict writes what has changed, and has no value in memory that need not be.
func (d *coldDisk) evict(t *testing.T, state *kv.State) {
	t.Helper()
	c, err := state.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	for r := range c.Records() {
		d.mu.Lock()
		d.records[r.Locator()] = r.AppendTo(nil)
		d.mu.Unlock()
	}
	c.Commit()
	state.Evict(1 << 30)
}

// A plainStore is what one client knows to be there.
type plainStore map[string]string

const notInteger = "-ERR value is not an integer or out of range"

func quoted(value string, ok bool) string {
	if !ok {
		return "nil"
	}
	return strconv.Quote(value)
}

func (m plainStore) read(key string) string {
	value, ok := m[key]
	return quoted(value, ok)
}

func (m plainStore) has(keys ...string) (n int) {
	for _, key := range keys {
		if _, ok := m[key]; ok {
			n++
		}
	}
	return n
}

// do runs a command on keys and returns the reply to it.
func (m plainStore) do(name, key, other, value string) (words []string, reply string) {
	old, there := m[key]
	switch name {
	case "SET":
		m[key] = value
		return []string{name, key, value}, "+OK"
	case "SETNX":
		if there {
			return []string{name, key, value}, "0"
		}
		m[key] = value
		return []string{name, key, value}, "1"
	case "GETSET":
		m[key] = value
		return []string{name, key, value}, quoted(old, there)
	case "GETDEL":
		delete(m, key)
		return []string{name, key}, quoted(old, there)
	case "APPEND":
		m[key] = old + value
		return []string{name, key, value}, strconv.Itoa(len(m[key]))
	case "INCR":
		return []string{name, key}, m.add(key)
	case "DEL", "EXISTS":
		n := m.has(key) + m.has(other)
		if name == "DEL" {
			delete(m, key)
			if delete(m, other); key == other {
				n /= 2
			}
		}
		return []string{name, key, other}, strconv.Itoa(n)
	case "STRLEN":
		return []string{name, key}, strconv.Itoa(len(old))
	case "GETRANGE":
		return []string{name, key, "0", "3"}, strconv.Quote(old[:min(4, len(old))])
	case "RENAME":
		if !there {
			return []string{name, key, other}, "-ERR no such key"
		}
		delete(m, key)
		m[other] = old
		return []string{name, key, other}, "+OK"
	case "MGET":
		return []string{name, key, other}, "[" + m.read(key) + " " + m.read(other) + "]"
	}
	return []string{"GET", key}, m.read(key)
}

func (m plainStore) add(key string) string {
	old, there := m[key]
	if !there {
		old = "0"
	}
	n, err := strconv.Atoi(old)
	if err != nil || strconv.Itoa(n) != old {
		return notInteger
	}
	m[key] = strconv.Itoa(n + 1)
	return m[key]
}

var orderCommands = []string{
	"GET", "GET", "GET", "SET", "SET", "SETNX", "GETSET", "GETDEL", "APPEND", "INCR", "INCR", "DEL", "EXISTS", "STRLEN", "GETRANGE", "RENAME", "MGET",
}

// step draws a command.
func (m plainStore) step(random *rand.Rand) (words []string, reply string) {
	key := func() string { return string(rune('a' + random.IntN(5))) }
	values := []string{"7", "-3", "text", strings.Repeat(key(), kv.DefaultColdMin+random.IntN(100))}
	return m.do(orderCommands[random.IntN(len(orderCommands))], key(), key(), values[random.IntN(len(values))])
}

// pipeline draws commands, some of them as transactions, and returns them with the replies to them.
func (m plainStore) pipeline(random *rand.Rand) (text string, replies []string) {
	var b strings.Builder
	for range 1 + random.IntN(40) {
		if random.IntN(8) > 0 {
			words, reply := m.step(random)
			b.WriteString(encode(words...))
			replies = append(replies, reply)
			continue
		}
		b.WriteString(encode("MULTI"))
		replies = append(replies, "+OK")
		var ran []string
		for range random.IntN(4) {
			words, reply := m.step(random)
			b.WriteString(encode(words...))
			replies, ran = append(replies, "+QUEUED"), append(ran, reply)
		}
		b.WriteString(encode("EXEC"))
		replies = append(replies, "["+strings.Join(ran, " ")+"]")
	}
	return b.String(), replies
}

// What a client sends in one pipeline must be answered as if it had waited for each reply, although
// its writes are not applied when the next command is read, some values have to be read from disk in the
// middle, and in a cluster reads wait for other servers.
func TestRandomPipelinesSeeThemselves(t *testing.T) {
	for name, barrier := range map[string]func(context.Context) error{
		"alone": nil, "in a cluster": func(context.Context) error { runtime.Gosched(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			d := &coldDisk{records: make(map[kv.Locator][]byte)}
			w := newWorldOf(t, kv.StateOptions{Presize: 64, Cold: d})
			w.log.barrier = barrier
			c, m, random := w.dial(), make(plainStore), rand.New(rand.NewPCG(gate.Seed(t), 13))
			for round := range 60 {
				d.evict(t, w.store.State())
				text, want := m.pipeline(random)
				c.send(text)
				for i := range want {
					if got := c.reply(); got != want[i] {
						t.Fatalf("round %d, reply %d: got %.200s, want %.200s, of %.2000q", round, i, got, want[i], text)
					}
				}
			}
			if d.reads.Load() == 0 {
				t.Error("no value was read from disk: this test looks at less than it should")
			}
			for key := range m {
				c.want("STRLEN "+key, fmt.Sprint(len(m[key])))
			}
		})
	}
}

// begun waits until n commands have their place in the log and are not applied.
func (l *slowLog) begun(t *testing.T, n int) {
	t.Helper()
	for ctx := gate.Context(t); ; runtime.Gosched() {
		l.mu.Lock()
		waiting := len(l.queue)
		l.mu.Unlock()
		if waiting >= n {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%d commands have begun, want %d", waiting, n)
		}
	}
}

// A command that reads before it writes must be made again where another one came between, not fail; and
// what its client sent behind it must see what it did.
func TestWhatIsReadMayChangeBeforeItIsWritten(t *testing.T) {
	for _, row := range []struct{ name, before, between, commands, want string }{
		{"append", "SET k a", "SET k bc", "APPEND k d; GET k", `3 "bcd"`},
		{"setrange", "SET k abc", "DEL k", "SETRANGE k 1 x; STRLEN k", "2 2"},
		{"rename", "SET k a", "SET k b", "RENAME k l; GET l; EXISTS k", `+OK "b" 0`},
		{"copy", "SET k a", "DEL k", "COPY k l; GET l", "0 nil"},
		{"expire", "SET k " + strings.Repeat("v", 100), "SET k w", "EXPIRE k 100; TTL k; GET k", `1 100 "w"`},
		{"exec", "SET k a", "SET k bc", "MULTI; APPEND k d; SET l 1; EXEC; GET k", `+OK +QUEUED +QUEUED [3 +OK] "bcd"`},
		{"quiet", "SET k a", "SET k bc", "CLIENT REPLY SKIP; APPEND k d; GET k", `"bcd"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			c, other := w.dial(), w.dial()
			c.want(row.before, "+OK")
			w.log.holding.Lock()
			other.send(encode(strings.Fields(row.between)...))
			w.log.begun(t, 1)
			var b strings.Builder
			for line := range strings.SplitSeq(row.commands, "; ") {
				b.WriteString(encode(strings.Fields(line)...))
			}
			c.send(b.String())
			w.log.begun(t, 2)
			w.log.holding.Unlock()
			other.reply()
			var got []string
			for range strings.Count(row.want, " ") + 1 - strings.Count(row.want, "[3 +OK]") {
				got = append(got, c.reply())
			}
			if got := strings.Join(got, " "); got != row.want {
				t.Errorf("%s: got %s, want %s", row.commands, got, row.want)
			}
		})
	}
}
