package ws_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/ratelimit"
	"keywatch/test/gate"
	"keywatch/web/ws/wstest"
)

// A heldLog is a log that can be told to hold what it is given. Like the real
// one it gives each command its place when it is begun.
type heldLog struct {
	*kvtest.Direct
	mu   sync.Mutex
	held bool
	wait []*heldWrite
}

type heldWrite struct {
	cmd    *kv.Command
	done   chan struct{}
	result kv.Result
	err    error
}

func (p *heldWrite) Done() <-chan struct{}      { return p.done }
func (p *heldWrite) Result() (kv.Result, error) { return p.result, p.err }
func (p *heldWrite) Notify(w kv.Waker)          { go func() { <-p.done; w.Wake() }() }

func (l *heldLog) Begin(c *kv.Command) (kv.Pending, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &heldWrite{cmd: c, done: make(chan struct{})}
	l.wait = append(l.wait, p)
	if !l.held {
		l.releaseLocked(len(l.wait))
	}
	return p, nil
}

// release applies the oldest n commands.
func (l *heldLog) release(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.releaseLocked(n)
}

func (l *heldLog) releaseLocked(n int) {
	for _, p := range l.wait[:n] {
		p.result, p.err = l.Propose(context.Background(), p.cmd)
		close(p.done)
	}
	l.wait = l.wait[n:]
}

func (l *heldLog) hold(held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held = held; !held {
		l.releaseLocked(len(l.wait))
	}
}

func (l *heldLog) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.wait)
}

func newHeldWorld(t *testing.T) (*world, *heldLog) { return newHeldWorldIn(t, nil) }

// newHeldWorldIn is newHeldWorld with sockets that are charged to b.
func newHeldWorldIn(t *testing.T, b *ratelimit.Budget) (*world, *heldLog) {
	log := &heldLog{}
	w := newServer(t, b, func(d *kvtest.Direct) kv.Log {
		log.Direct = d
		return log
	})
	return w.listen(), log
}

// If pipelined writes were applied or answered in another order, the last of two
// writes of a client would not be the one that stays; if reads waited for them,
// a slow disk would stop everything.
func TestSocketPipelines(t *testing.T) {
	w, log := newHeldWorld(t)
	w.write("r", "read me")
	log.hold(true)
	c := w.socket("")
	for i := 1; i <= 40; i++ {
		if i%10 == 0 {
			c.Say(`{"id":%d,"op":"put","key":"a","value":"x","if_match":"7f3a9c21-1"}`, i)
			continue
		}
		if i%10 == 5 {
			c.Say(`{"id":%d,"op":"put","key":"/","value":"x"}`, i)
			continue
		}
		c.Say(`{"id":%d,"op":"put","key":"a","value":"%d"}`, i, i)
	}
	w.eventually("36 writes are under way", func() bool { return log.waiting() == 36 })
	c.Say(`{"id":100,"op":"get","key":"r"}`)
	if f := c.Next(); f["id"] != float64(100) || f["value"] != "read me" {
		t.Fatalf("got %v while writes wait, want the read", f)
	}
	log.release(5)
	log.hold(false)
	for i := 1; i <= 40; i++ {
		f := c.Next()
		problem, _ := f["error"].(map[string]any)
		want := map[int]any{0: "compare_failed", 5: "bad_key"}[i%10]
		if f["id"] != float64(i) || problem["code"] != want {
			t.Fatalf("got %v, want the answer to %d", f, i)
		}
	}
	if f := c.Ask(`{"id":101,"op":"get","key":"a"}`); f["value"] != "39" {
		t.Errorf("got %v, want the last write to stay", f)
	}
}

// Without it a client could have any number of commands under way.
func TestSocketInFlight(t *testing.T) {
	w, log := newHeldWorld(t)
	log.hold(true)
	r := w.rawSocket("", "")
	var all strings.Builder
	for i := 1; i <= 200; i++ {
		all.WriteString(wstest.Masked(wstest.Text, fmt.Sprintf(`{"id":%d,"op":"put","key":"k%d","value":"1"}`, i, i)))
	}
	r.Send(all.String())
	w.eventually("64 writes are under way", func() bool { return log.waiting() == 64 })
	time.Sleep(50 * time.Millisecond) // there is nothing to wait for: more must not come
	if got := log.waiting(); got != 64 {
		t.Errorf("got %d writes under way, want 64", got)
	}
	log.hold(false)
	for i := 1; i <= 200; i++ {
		if _, got := r.Frame(); !strings.HasPrefix(got, fmt.Sprintf(`{"id":%d,"ok":true`, i)) {
			t.Fatalf("got %s, want the answer to %d", got, i)
		}
	}
}

// If a client that never reads its answers were served on, it would take all
// memory; if it held a goroutine or a lock, others would suffer.
func TestSocketThatNeverReads(t *testing.T) {
	w := newWorld(t)
	w.write("big", strings.Repeat("x", 100_000))
	const stalled = 20
	var sent [stalled]atomic.Int64
	var wg sync.WaitGroup
	var conns []net.Conn
	// More of them than the kernel's buffers hold.
	const most = 20_000
	get := wstest.Masked(wstest.Text, `{"id":1,"op":"get","key":"big"`+strings.Repeat(" ", 4<<10)+`}`)
	for i := range stalled {
		r := w.rawSocket("", "")
		r.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		conns = append(conns, r.Conn)
		wg.Go(func() {
			for sent[i].Load() < most {
				if _, err := r.Conn.Write([]byte(get)); err != nil {
					return
				}
				sent[i].Add(1)
			}
		})
	}
	c := w.socket("")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := 1; i <= 300; i++ {
		if f := c.Ask(`{"id":%d,"op":"put","key":"small","value":"%d"}`, i, i); f["ok"] != true {
			t.Fatal(f)
		}
	}
	total := func() (n int64) {
		for i := range sent {
			n += sent[i].Load()
		}
		return n
	}
	last, since := int64(-1), time.Now()
	w.eventually("nothing more is read for half a second", func() bool {
		if n := total(); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 500*time.Millisecond
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	for _, conn := range conns {
		conn.Close()
	}
	wg.Wait()
	for i := range sent {
		if sent[i].Load() >= most {
			t.Errorf("client %d was read to the end, although it does not read", i)
		}
	}
	// 256 KiB of answers, one more answer, and what is being sent.
	if got, bound := int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(stalled*1<<20); got > bound {
		t.Errorf("%d stalled clients hold %d bytes, want at most %d", stalled, got, bound)
	}
	w.eventually("no lane is at work", func() bool { return w.metric("keywatch_socket_lanes") == 0 })
}

// If this failed, what a client has asked to read would all be read after it has left,
// in vain, and the server could not stop before.
func TestSocketReadsNothingForThoseWhoLeft(t *testing.T) {
	w := newWorld(t)
	w.write("big", strings.Repeat("x", 1<<20))
	before := w.state.Tiers().Tier[kv.TierMemory].Reads
	r := w.rawSocket("", "")
	r.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	var gets strings.Builder // in one piece, so that all are read at once
	for i := range 64 {
		gets.WriteString(wstest.Masked(wstest.Text, fmt.Sprintf(`{"id":%d,"op":"get","key":"big"}`, i+1)))
	}
	r.Send(gets.String())
	reads := func() uint64 { return w.state.Tiers().Tier[kv.TierMemory].Reads - before }
	w.eventually("the first answer is on its way", func() bool { return reads() > 0 })
	r.Conn.Close()
	w.eventually("all that was read is done with", func() bool {
		return w.metric("keywatch_sockets") == 0 && w.metric("keywatch_socket_lanes") == 0
	})
	if got := reads(); got > 32 {
		t.Errorf("%d of 64 values of 1 MiB were read, most of them for nobody", got)
	}
}

// If the server stopped without a word, or forgot what was under way, a client
// would not know that it should reconnect, or what became of its writes.
func TestSocketStop(t *testing.T) {
	w, log := newHeldWorld(t)
	idle, busy := w.socket("?key=a"), w.socket("")
	r := w.rawSocket("", "")
	log.hold(true)
	busy.Say(`{"id":1,"op":"put","key":"a","value":"1"}`)
	w.eventually("a write is under way", func() bool { return log.waiting() == 1 })
	stopped := make(chan error)
	go func() {
		stopped <- w.server.Close(gate.Context(t))
	}()
	r.WantClose(1012)
	log.hold(false)
	if f := busy.Next(); f["id"] != float64(1) || f["ok"] != true {
		t.Errorf("got %v, want the answer to what was under way", f)
	}
	busy.WantClose(1012)
	idle.WantClose(1012)
	if err := <-stopped; err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := w.hub.Stats().Watchers; got != 0 {
		t.Errorf("got %d watchers after Close", got)
	}
}

// If a frame were not what JSON says, or keys and values not what was written,
// clients would break on some data only.
func TestSocketAnyText(t *testing.T) {
	w := newWorld(t)
	c := w.socket("?prefix=")
	c.Next()
	c.Next()
	for i, value := range []string{"", "\"\\\n\r\t\b\f\x00\x7f", "\u2028\u2029", "\xff\xfe", "日本語\U0001f600", strings.Repeat("é", 70_000)} {
		say, _ := json.Marshal(map[string]any{"id": i + 1, "op": "put", "key": "k" + fmt.Sprint(i), "value": value})
		if strings.Contains(value, "\xff") {
			say, _ = json.Marshal(map[string]any{"id": i + 1, "op": "put", "key": "k" + fmt.Sprint(i), "value": []byte(value), "encoding": "base64"})
		}
		c.Say("%s", say)
		for range 2 { // the answer and the event, in either order
			f := c.Next()
			if f["id"] != nil {
				continue
			}
			got := f["value"].(string)
			if f["encoding"] == "base64" {
				var b []byte
				_ = json.Unmarshal([]byte(`"`+got+`"`), &b)
				got = string(b)
			}
			if got != value {
				t.Errorf("got %.50q, want %.50q", got, value)
			}
		}
	}
}
