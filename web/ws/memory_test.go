package ws_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"keywatch/ratelimit"
	"keywatch/web/ws/wstest"
)

const mib = 1 << 20

// begun is the beginning of a message of 1 MiB.
const begun = "\x81\xff\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00"

// If this failed, messages that are never finished would take all the memory there is,
// and keep it for as long as their clients answer pings.
func TestUnfinishedMessagesAreBounded(t *testing.T) {
	b := ratelimit.NewBudget(4*mib, 4*mib)
	w := newServer(t, b).listen()
	var open []*wstest.Raw
	for range 12 {
		r := w.rawSocket("", "")
		open = append(open, r)
		_, _ = r.Conn.Write([]byte(begun + strings.Repeat("x", mib*3/4)))
	}
	w.eventually("there is no room for another", func() bool { return b.Stats().Refused[ratelimit.Requests] > 0 })
	if used := b.Used(); used > 4*mib {
		t.Errorf("%d bytes are charged, 4 MiB are allowed", used)
	}
	c := w.socket("")
	if f := c.Ask(`{"id":1,"op":"put","key":"a","value":"1"}`); f["ok"] != true {
		t.Errorf("a small write: got %v", f)
	}
	c.Conn.CloseNow()
	for _, r := range open {
		r.Conn.Close()
	}
	w.eventually("all is given back", func() bool { return b.Used() == 0 })
}

// If this failed, a client could begin a message and leave it at that.
func TestMessagesMustComeOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		budget *ratelimit.Budget
		piece  int
		most   time.Duration
	}{
		{"plenty of memory", nil, 3000, 62 * time.Second},
		{"little memory", ratelimit.NewBudget(4*mib, 4*mib), 64 << 10, 15 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := c.budget
				if b != nil {
					b = ratelimit.NewBudget(4*mib, 4*mib)
				}
				bubbleIn(t, newServer(t, b), func(t *testing.T, w *world, conn net.Conn) {
					r := wstest.Upgrade(t, conn, "", "")
					if b != nil { // another client finds no room
						other := b.Open("")
						_ = other.Grow(ratelimit.Requests, 100*mib)
						defer other.Close()
					}
					// A fragment, after which pings can be answered.
					r.Send(wstest.Masked(0x01, strings.Repeat("x", c.piece)))
					start := time.Now()
					for {
						first, payload := r.Frame()
						if first == 0x89 {
							r.Send(wstest.Masked(0x8a, ""))
							continue
						}
						if first != 0x88 || !strings.HasPrefix(payload, "\x0d\xb4") { // 3508
							t.Errorf("got %x %q, want a close frame with 3508", first, payload)
						}
						break
					}
					if took := time.Since(start); took > c.most || took < 5*time.Second {
						t.Errorf("closed after %v, want %v at most", took, c.most)
					}
				})
			})
		})
	}
}

// If this failed, a message that comes slowly but steadily would be cut.
func TestSlowMessagesAreRead(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, conn net.Conn) {
		r := wstest.Upgrade(t, conn, "", "")
		text := wstest.Masked(wstest.Text, `{"id":1,"op":"put","key":"a","value":"`+strings.Repeat("x", 5000)+`"}`)
		for len(text) > 0 {
			n := min(100, len(text))
			r.Send(text[:n])
			text = text[n:]
			time.Sleep(10 * time.Second) // 8 minutes in all
		}
		for {
			first, payload := r.Frame()
			if first == 0x89 {
				continue // it was heard
			}
			if !strings.HasPrefix(payload, `{"id":1,"ok":true`) {
				t.Errorf("got %x %q", first, payload)
			}
			return
		}
	})
}

// If this failed, a socket whose messages are all cut at the same byte would be closed,
// although each of them arrives soon: they would look like one that stands still.
func TestMessagesCutAlikeAreRead(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, conn net.Conn) {
		r := wstest.Upgrade(t, conn, "", "")
		text := wstest.Masked(wstest.Text, `{"id":1,"op":"put","key":"a","value":"`+strings.Repeat("x", 2000)+`"}`)
		const cut = 1000
		r.Send(text[:cut])
		for range 12 { // 2 minutes in all
			time.Sleep(10 * time.Second)
			r.Send(text[cut:] + text[:cut])
			first, payload := r.Frame()
			for first == 0x89 {
				first, payload = r.Frame()
			}
			if !strings.HasPrefix(payload, `{"id":1,"ok":true`) {
				t.Errorf("got %x %q", first, payload)
				return
			}
		}
	})
}

// If this failed, answers that clients do not read would take memory that is not counted.
func TestUnreadAnswersAreCharged(t *testing.T) {
	b := ratelimit.NewBudget(4*mib, 4*mib)
	w := newServer(t, b).listen()
	for i := range 3 {
		w.write(fmt.Sprint("v/", i), strings.Repeat("x", 900<<10))
	}
	var open []*wstest.Raw
	for range 12 {
		r := w.rawSocket("", "")
		open = append(open, r)
		r.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		for i := range 8 { // one that has read nothing for a while may be closed already
			_, _ = io.WriteString(r.Conn, wstest.Masked(wstest.Text, fmt.Sprintf(`{"id":%d,"op":"list","prefix":"v/"}`, i+1)))
		}
	}
	w.eventually("there is no room for another", func() bool { return b.Stats().Refused[ratelimit.Answers] > 0 })
	if used := b.Used(); used > 5*mib {
		t.Errorf("%d bytes are charged, 4 MiB and one answer are allowed", used)
	}
	w.write("small", "1")
	c := w.socket("")
	if f := c.Ask(`{"id":1,"op":"get","key":"small"}`); f["ok"] != true {
		t.Errorf("a small read: got %v", f)
	}
	for _, r := range open {
		r.Conn.Close()
	}
	w.eventually("all is given back", func() bool { return b.Stats().Used[ratelimit.Answers] == 0 })
	other := b.Open("") // takes all there is
	defer other.Close()
	for other.Grow(ratelimit.Answers, 16<<10) == nil {
	}
	if f := c.Ask(`{"id":2,"op":"get","key":"v/0"}`); f["error"] == nil || f["error"].(map[string]any)["code"] != "client_memory_full" {
		t.Errorf("a large read: got %.100v, want client_memory_full", f)
	}
}

// If this failed, a client that reads its answer would be cut off because others take what
// memory there is, although there was room when the answer was made.
func TestAnswersThatHaveRoomArrive(t *testing.T) {
	const size = 8 * mib // more than the kernel's buffers take
	b := ratelimit.NewBudget(16*mib, 16*mib)
	w := newServer(t, b).listen()
	w.write("v", strings.Repeat("x", size))
	r := w.rawSocket("", "")
	r.Send(wstest.Masked(wstest.Text, `{"id":1,"op":"get","key":"v"}`))
	w.eventually("the answer is made", func() bool { return b.Stats().Used[ratelimit.Answers] >= size/2 })
	other := b.Open("")
	defer other.Close()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() { // what is given back is used up at once
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_ = other.Grow(ratelimit.Answers, 4<<10)
			}
		}
	}()
	if first, payload := r.Frame(); first != 0x81 || len(payload) < size {
		t.Errorf("got %x and %d bytes, want the value", first, len(payload))
	}
	close(done)
	<-ended
}

// If this failed, batches of gets behind a write that waits for the disk would read as much as
// they like, and only the newest would count.
func TestReadsUnderWayAreCharged(t *testing.T) {
	b := ratelimit.NewBudget(4*mib, 4*mib)
	w, log := newHeldWorldIn(t, b)
	for i := range 3 {
		w.write(fmt.Sprint("v/", i), strings.Repeat("x", 300<<10))
	}
	log.hold(true)
	c := w.socket("")
	c.Say(`{"id":1,"op":"put","key":"a","value":"1"}`)
	for i := range 10 {
		c.Say(`{"id":%d,"op":"batch","ops":[{"op":"get","key":"v/0"},{"op":"get","key":"v/1"},{"op":"get","key":"v/2"}]}`, i+2)
	}
	w.eventually("there is no room for another", func() bool { return b.Stats().Refused[ratelimit.Answers] == 7 })
	if used := b.Stats().Used[ratelimit.Answers]; used < 2*mib || used > 3*mib {
		t.Errorf("%d bytes are charged, for three batches of 900 KiB", used)
	}
	log.hold(false)
	full, good := 0, 0
	for range 11 {
		f := c.Next()
		switch e, _ := f["error"].(map[string]any); {
		case f["ok"] == true:
			good++
		case e["code"] == "client_memory_full":
			full++
		default:
			t.Errorf("got %.200v", f)
		}
	}
	if good < 2 || full < 7 { // answers that are not sent yet take room too
		t.Errorf("%d are answered and %d refused, want up to 4 and at least 7", good, full)
	}
	w.eventually("all is given back", func() bool { return b.Stats().Used[ratelimit.Answers] == 0 })
}

// If this failed, commands that wait for locks would take goroutines without a bound, or a
// caller who waits would leave no memory for those who do not.
func TestLockWaitsAreCharged(t *testing.T) {
	b := ratelimit.NewBudget(4*mib, 4*mib)
	w := newServer(t, b).listen()
	w.hold("l")
	var open []*wstest.Client
	for range 10 {
		c := w.socket("")
		open = append(open, c)
		for i := range 60 {
			c.Say(`{"id":%d,"op":"lock","lock":"l","ttl":"1h","wait":"5m"}`, i+1)
		}
	}
	var s ratelimit.BudgetStats
	w.eventually("all wait or are refused", func() bool {
		s = b.Stats()
		return w.state.Stats().LockWaiters+int(s.Refused[ratelimit.Waits]) == 600
	})
	if used := s.Used[ratelimit.Waits]; used > 2*mib || used < mib {
		t.Fatalf("600 wait; %d bytes are charged, 2 MiB are allowed", used)
	}
	open[9].Say(`{"id":61,"op":"lock","lock":"l","ttl":"1h","wait":"5m"}`) // the others may have been refused all
	if f, _ := open[9].Next()["error"].(map[string]any); f["code"] != "client_memory_full" || !strings.Contains(fmt.Sprint(f["detail"]), "--client-memory") {
		t.Errorf("the last: got %v, want client_memory_full", f)
	}
	if f := w.socket("").Ask(`{"id":1,"op":"put","key":"a","value":"1"}`); f["ok"] != true {
		t.Errorf("a write beside those who wait: got %v", f)
	}
	for _, c := range open {
		c.Conn.CloseNow()
	}
	w.eventually("all is given back", func() bool { return b.Stats().Used[ratelimit.Waits] == 0 })
}

// If this failed, the names of watches would take memory that is not counted.
func TestWatchesOfSocketsAreCharged(t *testing.T) {
	b := ratelimit.NewBudget(4*mib, 4*mib)
	w := newServer(t, b).listen()
	c := w.socket("")
	names := make([]string, 200)
	for k := range names {
		names[k] = fmt.Sprintf("%04d-%s", k, strings.Repeat("n", 1000))
	}
	list, _ := json.Marshal(names)
	opened := 0
	for ; opened < 100; opened++ {
		f := c.Ask(`{"id":%d,"op":"watch","keys":%s,"state":false}`, opened+1, list)
		if f["ok"] == true {
			c.Next() // synced
			continue
		}
		if f["error"].(map[string]any)["code"] != "client_memory_full" {
			t.Errorf("got %v, want client_memory_full", f)
		}
		break
	}
	before := b.Stats().Used[ratelimit.Watches]
	if opened < 5 || opened > 20 || before > 4*mib {
		t.Errorf("%d watches were let in, which take %d bytes", opened, before)
	}
	c.Ask(`{"id":500,"op":"unwatch","watch":1}`)
	if after := b.Stats().Used[ratelimit.Watches]; after > before-200*1000 {
		t.Errorf("%d bytes are charged after a watch ended, %d before", after, before)
	}
	c.Conn.CloseNow()
	w.eventually("all is given back", func() bool { return b.Used() == 0 })
}

// If this failed, a socket with a thousand commands on their way would take memory that
// is not counted; or it would not continue once there is room.
func TestCommandsUnderWayAreCharged(t *testing.T) {
	b := ratelimit.NewBudget(256<<10, 256<<10)
	w, log := newHeldWorldIn(t, b)
	log.hold(true)
	c := w.socket("")
	go func() { // that it fails is seen by who reads the answers
		for i := range 200 {
			text := fmt.Sprintf(`{"id":%d,"op":"put","key":"k%d","value":"%s"}`, i+1, i, strings.Repeat("x", 8000))
			_ = c.Conn.Write(c.Ctx, websocket.MessageText, []byte(text))
		}
	}()
	w.eventually("writes wait", func() bool { return log.waiting() > 1 })
	w.eventually("they are charged", func() bool { return b.Stats().Used[ratelimit.Requests] > 0 })
	if used := b.Used(); used > 256<<10 {
		t.Errorf("%d bytes are charged, 256 KiB are allowed", used)
	}
	log.hold(false)
	for i := range 200 {
		if f := c.Next(); f["id"] != float64(i+1) || f["ok"] != true {
			t.Fatalf("answer %d: got %v", i+1, f)
		}
	}
	if n := w.state.Len(); n != 200 {
		t.Errorf("%d keys were written, want 200", n)
	}
}

// If this failed, a socket would be closed for want of memory when what it has under way is
// answered at that moment, although there is room for what is left.
func TestAnsweredCommandsMakeRoom(t *testing.T) {
	b := ratelimit.NewBudget(256<<10, 256<<10)
	w := newServer(t, b).listen()
	r := w.rawSocket("", "")
	other := b.Open("")
	defer other.Close()
	for other.Grow(ratelimit.Requests, 1<<10) == nil {
	}
	other.Shrink(ratelimit.Requests, 16<<10) // room for one step
	defer busy(b)()
	message := func(i int) string {
		return wstest.Masked(wstest.Text, fmt.Sprintf(`{"id":%d,"op":"put","key":"k","value":"%s"}`, i+1, strings.Repeat("x", 14000)))
	}
	const early = 2500
	text := message(0)
	r.Send(text[:early])
	for i := range 20 {
		next := message(i + 1)
		r.Send(text[early:] + next[:early])
		if first, payload := r.Frame(); first != 0x81 {
			t.Fatalf("answer %d: got %x %q", i+1, first, payload)
		}
		text = next
	}
}

// busy keeps a budget busy, so that each charge to it waits a little, until stop is called.
func busy(b *ratelimit.Budget) (stop func()) {
	var running sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		running.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					b.Used()
				}
			}
		})
	}
	return func() {
		close(done)
		running.Wait()
	}
}
