package web_test

import (
	"bufio"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// A lockEvent is what a watcher is told of a key.
type lockEvent struct {
	Type, Key, Value, Cause, Pos string
	Rev                          uint64
}

// If this failed, a client that watches a lock would not see each holder come and go,
// in one revision, or would keep a copy that is wrong.
func TestLockIsWatchable(t *testing.T) {
	for _, mode := range []string{"all", "latest"} {
		w := newWorld(t)
		w.tick(0) // time stands still
		stream := w.stream("/v1/watch?prefix=locks/&state=0&mode="+mode, "Accept", "application/x-ndjson")
		defer stream.Body.Close()
		lines := bufio.NewScanner(stream.Body)
		next := func() (ev lockEvent) {
			for lines.Scan() {
				if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
					t.Fatalf("%s: %v", lines.Text(), err)
				}
				if ev.Type == "put" || ev.Type == "delete" {
					return ev
				}
			}
			t.Fatalf("the stream ended: %v", lines.Err())
			return ev
		}
		w.want(200, "POST", "/v1/locks/l", `{"ttl":"2s","owner":"first"}`)
		if ev := next(); ev.Key != "locks/l" || ev.Value != "first" {
			t.Fatalf("the lock is taken: got %+v", ev)
		}
		got := make(chan lockReply, 1)
		go w.askLock("l", "next", "5m", got)
		place := next()
		if !strings.HasPrefix(place.Key, "locks/l/queue/") || place.Value != "next" {
			t.Fatalf("a place is taken: got %+v", place)
		}
		w.tick(2100) // the holder's lease ends
		var seen []lockEvent
		for len(seen) == 0 || seen[len(seen)-1].Pos == "" {
			seen = append(seen, next())
		}
		token := (<-got).Token
		if mode == "latest" { // the newest of each key is enough
			seen = slices.DeleteFunc(seen, func(ev lockEvent) bool { return ev.Cause == "lease" })
		} else if seen[0].Key != "locks/l" || seen[0].Cause != "lease" {
			t.Errorf("%s: got %+v, want the holder to go with its lease first", mode, seen)
		} else {
			seen = seen[1:]
		}
		last := seen[len(seen)-1]
		if len(seen) != 2 || seen[0].Key != place.Key || seen[0].Cause != "deleted" ||
			last.Key != "locks/l" || last.Value != "next" || last.Rev != token {
			t.Errorf("%s: got %+v, want the place to go and the holder to come at %d", mode, seen, token)
		}
	}
}
