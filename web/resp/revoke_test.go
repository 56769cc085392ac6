package resp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// A listener is a connection that is told of changes under a/, and what it was told.
type listener struct {
	*client
	name string
	mu   sync.Mutex
	// keys are the numbers of the keys that it was told of, newest the last of them, denied what a watch
	// was ended with.
	keys   map[int]bool
	newest int
	denied string
	ended  bool
}

var keyNumber = regexp.MustCompile(`a/(\d+)`)

// listen notes what the connection is told until it ends.
func (l *listener) listen() {
	for {
		_ = l.conn.SetReadDeadline(time.Now().Add(patience))
		reply, err := l.read()
		l.mu.Lock()
		if err != nil {
			l.ended = true
			l.mu.Unlock()
			return
		}
		for _, m := range keyNumber.FindAllStringSubmatch(reply, -1) {
			n, _ := strconv.Atoi(m[1])
			l.keys[n], l.newest = true, max(l.newest, n)
		}
		if code, ok := deniedCode(reply); ok {
			l.denied = code
		}
		l.mu.Unlock()
	}
}

// deniedCode returns the code of a denied event, of either form.
func deniedCode(reply string) (string, bool) {
	if i := strings.Index(reply, `"denied" nil "`); i >= 0 {
		code, _, _ := strings.Cut(reply[i+len(`"denied" nil "`):], `"`)
		return code, true
	}
	i := strings.Index(reply, `{\"type\":\"denied\"`)
	if i < 0 {
		return "", false
	}
	text, err := strconv.Unquote(`"` + strings.TrimRight(reply[i:], `"]`) + `"`)
	if err != nil {
		return "", false
	}
	var event struct{ Code string }
	if err := json.Unmarshal([]byte(text), &event); err != nil {
		return text, true
	}
	return event.Code, true
}

// told reports whether the listener was told of a key of that number or a later one.
func (l *listener) told(from int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest >= from
}

// kinds are the ways to be told, as lines that begin them. Those that end with the connection have
// no way to say why.
var kinds = []struct {
	name, lines string
	ends        bool
}{
	{"watch by SUBSCRIBE", "SUBSCRIBE kw:watch?prefix=a/", false},
	{"KW.WATCH", "HELLO 3; KW.WATCH w PREFIX a/", false},
	{"keyspace notifications", "PSUBSCRIBE __keyspace@0__:a/*", true},
	{"tracking of prefixes", "HELLO 3; CLIENT TRACKING ON BCAST PREFIX a/", true},
}

func (s *secured) listeners(secret string) (all []*listener) {
	for _, k := range kinds {
		l := &listener{client: s.as(secret), name: k.name, keys: make(map[int]bool), newest: -1}
		for line := range strings.SplitSeq(k.lines, "; ") {
			if got := l.say(line); strings.HasPrefix(got, "-") {
				s.t.Fatalf("%s: %s: got %s", k.name, line, got)
			}
		}
		all = append(all, l)
		go l.listen()
	}
	return all
}

// If this failed, a client of Redis would be told of what was written after the right of its user was
// revoked, or another user's would end too.
func TestNothingIsToldAfterRevocation(t *testing.T) {
	s := newSecured(t)
	ann, bob := s.listeners(s.user("ann", "read,watch:a/")), s.listeners(s.user("bob", "read,watch:a/"))
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var revs []kv.Rev // of the keys, by number
	var writing sync.WaitGroup
	all := func(of []*listener, holds func(i int, l *listener) bool) func() bool {
		return func() bool {
			for i, l := range of {
				if !holds(i, l) {
					return false
				}
			}
			return true
		}
	}
	const ahead = 200 // more than that, and a connection would be closed because it falls behind
	writing.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			for keepUp := all(bob, func(_ int, l *listener) bool { return l.told(n - ahead) }); !keepUp() && ctx.Err() == nil; {
				time.Sleep(time.Millisecond)
			}
			r, err := s.store.Do(ctx, &kv.Command{Ops: []kv.Op{kvtest.Put(fmt.Sprintf("a/%d", n), "v")}})
			if err != nil {
				return
			}
			mu.Lock()
			revs = append(revs, r.Rev)
			mu.Unlock()
		}
	})
	written := func() int { mu.Lock(); defer mu.Unlock(); return len(revs) }
	s.eventually("all are told", all(append(ann, bob...), func(_ int, l *listener) bool { return l.told(0) }))
	s.role("ann")
	revoked := s.store.State().AuthRev()
	from := written() + 20
	s.eventually("bob is told more", all(bob, func(_ int, l *listener) bool { return l.told(from) }))
	s.eventually("ann is denied", all(ann, func(i int, l *listener) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return kinds[i].ends && l.ended || !kinds[i].ends && l.denied != ""
	}))
	cancel()
	writing.Wait()
	for i, l := range ann {
		l.mu.Lock()
		for n := range l.keys {
			if n < len(revs) && revs[n] > revoked {
				t.Errorf("%s: told of a/%d of revision %d, revoked at %d", l.name, n, revs[n], revoked)
			}
		}
		if !kinds[i].ends && (l.denied != auth.Narrowed || l.ended) {
			t.Errorf("%s: denied as %q, ended is %v; want %q, and that the connection stays", l.name, l.denied, l.ended, auth.Narrowed)
		}
		l.mu.Unlock()
	}
	if err := s.registry.DeleteUser(t.Context(), s.admin.By(), "bob", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	s.eventually("the connections of a user who is gone end", all(bob, func(_ int, l *listener) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.ended
	}))
	for i, l := range bob {
		if !kinds[i].ends && l.denied != auth.Revoked {
			t.Errorf("%s: denied as %q, want %q", l.name, l.denied, auth.Revoked)
		}
	}
}

// What was queued before a revocation must not run after it, and a lock must not be waited for.
func TestRevocationEndsWhatWaits(t *testing.T) {
	s := newSecured(t)
	queued, waits := s.as(s.user("ann", "read,write:a")), s.as(s.user("bob", "lock:l"))
	for _, line := range []string{"MULTI", "SET a 1", "SUBSCRIBE __keyspace@0__:a"} {
		queued.say(line)
	}
	s.as(s.secret).say("KW.LOCK l 60000")
	waits.send(encode("KW.LOCK", "l", "60000", "WAIT", "50000"))
	s.eventually("the lock is waited for", func() bool { return s.store.State().Lock("l", 10).Waiting > 0 })
	s.role("ann", "read:a")
	queued.want("EXEC", "-NOPERM No permissions to access a key: requires write:a")
	queued.want("GET a", "nil")
	if err := s.registry.DeleteUser(t.Context(), s.admin.By(), "bob", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	if got := waits.ended(); len(got) > 0 && !strings.HasPrefix(got[0], "-") {
		t.Errorf("got %q, want no lock", got)
	}
	s.eventually("the place in the queue is given up", func() bool { return s.store.State().Lock("l", 10).Waiting == 0 })
}

// Who caches what it has read must forget that once it may not be told any more.
func TestTrackingForgetsWithTheRight(t *testing.T) {
	s := newSecured(t)
	admin, ann := s.as(s.secret), s.as(s.user("ann", "read:a", "read:b"))
	ann.say("HELLO 3")
	ann.want("CLIENT TRACKING ON", "+OK")
	ann.want("GET a", "nil")
	ann.want("GET b", "nil")
	admin.want("SET a 1", "+OK")
	if got := ann.reply(); got != `>["invalidate" ["a"]]` {
		t.Errorf("got %s", got)
	}
	ann.want("GET a", `"1"`)
	s.role("ann", "read:a")
	if got := ann.reply(); got != `>["invalidate" nil]` {
		t.Errorf("after the right to b: got %s, want to forget all", got)
	}
	ann.want("GET b", "-NOPERM No permissions to access a key: requires read:b")
	ann.want("GET a", `"1"`)
	admin.want("SET b 1", "+OK")
	admin.want("SET a 2", "+OK")
	if got := ann.reply(); got != `>["invalidate" ["a"]]` {
		t.Errorf("got %s, want only what may be read", got)
	}
}

// Invalidations must be told to connections of the same user only.
func TestRedirectStaysWithTheUser(t *testing.T) {
	s := newSecured(t)
	secret := s.user("ann", "read:a")
	ann, other, bob := s.as(secret), s.as(secret), s.as(s.user("bob", "read:b"))
	bob.want("CLIENT TRACKING ON REDIRECT "+ann.say("CLIENT ID"), "-ERR The client ID you want redirect to does not exist")
	id := other.say("CLIENT ID")
	other.say("HELLO 3")
	ann.want("CLIENT TRACKING ON REDIRECT "+id, "+OK")
	ann.want("GET a", "nil")
	s.as(s.secret).want("SET a 1", "+OK")
	if got := other.reply(); got != `>["invalidate" ["a"]]` {
		t.Errorf("got %s", got)
	}
}

// Who becomes another user must keep only what that one may have.
func TestSubscriptionsAreTheNewUsers(t *testing.T) {
	s := newSecured(t)
	ann, bob := s.user("ann", "read,watch:a/"), s.user("bob", "read,watch:b/")
	both := s.user("both", "read,watch:a/", "read,watch:b/")
	c := s.as(ann)
	c.say("HELLO 3")
	c.say("PSUBSCRIBE __keyspace@0__:a/*")
	c.want("KW.WATCH a PREFIX a/", "+OK")
	for reply := c.reply(); !strings.Contains(reply, `"synced"`); reply = c.reply() {
	}
	c.want("AUTH "+both, "+OK")
	c.want("KW.WATCH b PREFIX b/", "+OK")
	for reply := c.reply(); !strings.Contains(reply, `"synced"`); reply = c.reply() {
	}
	c.send(encode("AUTH", bob))
	got := strings.Join(c.ended(), "\n")
	if !strings.Contains(got, "+OK") || !strings.Contains(got, `"kw.watch" "a" "denied" nil "narrowed"`) || strings.Contains(got, `"b" "denied"`) {
		t.Errorf("got %s, want +OK, and the watch of a/ denied", got)
	}
}
