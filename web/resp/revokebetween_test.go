package resp_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/watch"
)

// betweenKinds are ways to be told of a change of a/1, as lines that begin them.
var betweenKinds = map[string]string{
	"watch by SUBSCRIBE":      "SUBSCRIBE kw:watch?prefix=a/",
	"KW.WATCH":                "HELLO 3; KW.WATCH w PREFIX a/",
	"keyspace notifications":  "PSUBSCRIBE __keyspace@0__:a/*",
	"key event notifications": "SUBSCRIBE __keyspace@0__:a/1",
	"tracking of prefixes":    "HELLO 3; CLIENT TRACKING ON BCAST PREFIX a/",
	"tracking of reads":       "HELLO 3; CLIENT TRACKING ON; GET a/1",
}

// Between the look at what a caller may do and what it is told, its right can end and the next change
// come. If this failed, it would be told of that. The look that must see it is the one after the poll
// of a watch, and that at each message of the others.
func TestRightThatEndsWhileBeingTold(t *testing.T) {
	for name, lines := range betweenKinds {
		t.Run(name, func(t *testing.T) {
			s := newSecured(t)
			ann, other := s.as(s.user("ann", "read,watch:a/")), s.as(s.secret)
			id, err := strconv.ParseUint(ann.say("CLIENT ID"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			other.say("HELLO 3")
			other.want("CLIENT TRACKING ON", "+OK")
			other.want("GET z", "nil")
			for line := range strings.SplitSeq(lines, "; ") {
				if got := ann.say(line); strings.HasPrefix(got, "-") {
					t.Fatalf("%s: got %s", line, got)
				}
			}
			var armed, done atomic.Bool
			s.server.Between(func(of uint64) {
				if of != id || !armed.CompareAndSwap(true, false) {
					return
				}
				defer done.Store(true)
				s.role("ann")
				for _, key := range []string{"a/1", "z"} {
					if _, err := s.store.Do(t.Context(), &kv.Command{Ops: []kv.Op{kvtest.Put(key, "secret")}}); err != nil {
						t.Error(err)
					}
				}
				at := s.store.State().Position().Rev
				for end := time.Now().Add(patience); s.hub.Dispatched().Rev < at || s.server.Tracked() > 0; {
					if time.Sleep(time.Millisecond); time.Now().After(end) {
						t.Error("the change is not dispatched")
						return
					}
				}
			})
			armed.Store(true)
			if strings.Contains(lines, "watch") || strings.Contains(lines, "WATCH") { // it is looked at when something changes
				if _, err := s.store.Do(t.Context(), &kv.Command{Ops: []kv.Op{kvtest.Put("a/0", "first")}}); err != nil {
					t.Fatal(err)
				}
			} else {
				ann.send(encode("ECHO", "first"))
			}
			s.eventually("the right ends in between", done.Load)
			ann.send(encode("ECHO", "last"))
			var told []string
			for {
				_ = ann.conn.SetReadDeadline(time.Now().Add(patience))
				got, err := ann.read()
				if told = append(told, got); err != nil || strings.Contains(got, `"last"`) {
					break
				}
			}
			if all := fmt.Sprint(told); strings.Contains(all, "a/1") || strings.Contains(all, "secret") {
				t.Errorf("told of what was written after the right ended: %s", all)
			}
		})
	}
}

// If this failed, who caches what it reads would be told of no change any more once all watches were
// ended, as a server does that has fallen behind.
func TestTrackingOutlivesWatches(t *testing.T) {
	w := newWorld(t)
	c, other := w.dial(), w.dial()
	c.say("HELLO 3")
	c.want("CLIENT TRACKING ON", "+OK")
	for range 3 {
		c.want("GET a", c.say("GET a"))
		w.hub.EndAll(watch.CodeStarting)
		if got := c.reply(); got != `>["invalidate" nil]` {
			t.Fatalf("when all watches ended: got %s, want to forget all", got)
		}
		c.say("GET a")
		other.want("SET a 1", "+OK")
		if got := c.reply(); got != `>["invalidate" ["a"]]` {
			t.Fatalf("afterwards: got %s, want to forget a", got)
		}
	}
}
