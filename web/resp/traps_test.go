package resp_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/ratelimit"
	"keywatch/test/gate"
	"keywatch/web/resp"
)

// A key that is there from the first page of a scan to its last must come once, whatever is
// written beside it; and the scan must end.
func TestScanBesideWrites(t *testing.T) {
	w := newWorld(t)
	c, writer := w.dial(), w.dial()
	const stays = 300
	var b strings.Builder
	for i := range stays {
		b.WriteString(encode("SET", fmt.Sprintf("stay:%03d", i), "v"))
	}
	c.send(b.String())
	for range stays {
		c.reply()
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	random := rand.New(rand.NewPCG(gate.Seed(t), 1))
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			key := fmt.Sprintf("stay:%03d%s", random.IntN(stays), []string{"", "x", ":y"}[random.IntN(3)])
			if strings.Contains(key[5:], "x") || strings.Contains(key[5:], "y") {
				writer.words([]string{"SET", "DEL"}[random.IntN(2)], key, "1")
				continue
			}
			writer.words("SET", key, "w")
		}
	})
	for range 5 {
		seen := make(map[string]int)
		cursor, pages := "0", 0
		for {
			got := c.words("SCAN", cursor, "COUNT", "7", "MATCH", "stay:*")
			body := strings.TrimSuffix(strings.TrimPrefix(got, `["`), "]]")
			next, keys, ok := strings.Cut(body, `" [`)
			if !ok {
				t.Fatalf("got %s", got)
			}
			for key := range strings.FieldsSeq(keys) {
				seen[key]++
			}
			if cursor = next; cursor == "0" {
				break
			}
			if pages++; pages > 10_000 {
				t.Fatal("the scan does not end")
			}
		}
		for i := range stays {
			if n := seen[fmt.Sprintf(`"stay:%03d"`, i)]; n != 1 {
				t.Errorf("stay:%03d came %d times", i, n)
			}
		}
	}
	close(stop)
	writing.Wait()
	for _, cursor := range []string{"x", "-1", "123456789", "99999999999999999999"} {
		c.want("SCAN "+cursor, "-ERR invalid cursor")
	}
}

// A subscriber that does not read must cost a bounded amount, and no writer its time.
func TestSubscriberThatDoesNotRead(t *testing.T) {
	w := newWorld(t)
	sub, c := w.dial(), w.dial()
	sub.want("PSUBSCRIBE __keyspace*", `["psubscribe" "__keyspace*" 1]`)
	key := strings.Repeat("k", 1000)
	for i := 0; w.server.Len() > 1; i++ {
		if i > 200_000 {
			t.Fatal("the subscriber is still there")
		}
		var b strings.Builder
		for range 100 {
			b.WriteString(encode("SET", key, "v"))
		}
		c.send(b.String())
		for range 100 {
			c.reply()
		}
	}
	c.want("PING", "+PONG")
}

// Who asks for more than it reads must be bounded by the memory of clients.
func TestClientThatDoesNotRead(t *testing.T) {
	budget := ratelimit.NewBudget(16<<20, 0)
	w := newWorld(t, func(o *resp.Options) { o.Budget, o.RateLoopback = budget, true })
	c := w.dial()
	c.words("SET", "a", strings.Repeat("x", 1<<20))
	greedy := w.dial()
	done := make(chan struct{})
	go func() {
		defer close(done)
		ask := strings.Repeat(encode("GET", "a"), 100)
		for {
			_ = greedy.conn.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := greedy.conn.Write([]byte(ask)); err != nil {
				return // it was closed, or nothing is read of it any more
			}
		}
	}()
	<-done
	if used := budget.Used(); used > 16<<20 {
		t.Errorf("clients hold %d bytes", used)
	}
	c.want("STRLEN a", "1048576")
}
