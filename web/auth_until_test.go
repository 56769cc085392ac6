package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/test/gate"
	"keywatch/web"
	"keywatch/web/ws"
	"keywatch/web/ws/wstest"
)

// An unaware is a server of a cluster that runs without authentication.
type unaware struct {
	*secured
	store *kv.Store
}

// newUnaware returns one that has the key which seals the records, or lacks it.
func newUnaware(t *testing.T, hasKey bool, change ...func(*web.Options)) *unaware {
	t.Helper()
	wrappers := make([]auth.Wrapper, 2)
	for i := range wrappers {
		var err error
		if wrappers[i], err = auth.WrapperOf(auth.NewSealKey()); err != nil {
			t.Fatal(err)
		}
	}
	u := &unaware{secured: new(secured)}
	elsewhere := auth.NewTable(auth.TableOptions{Wrapper: wrappers[0]})
	if hasKey {
		wrappers[1] = wrappers[0]
	}
	u.table = auth.NewTable(auth.TableOptions{Wrapper: wrappers[1], Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(elsewhere.Close)
	t.Cleanup(u.table.Close)
	u.world = newWorldWith(t, kv.Params{}, kv.Limits{}, append(change, func(o *web.Options) {
		o.OpenUntil, u.store = u.table, o.Store
		u.registry = auth.NewRegistry(elsewhere, o.Store, nil)
		o.Admin.Checkpoint = func(context.Context) error { return nil }
	})...)
	u.state.FollowPrivate(&followers{new(lagging), elsewhere, u.table})
	return u
}

// getUsers has another server make the first user.
func (u *unaware) getUsers() {
	u.t.Helper()
	if made, err := u.registry.Bootstrap(context.Background(), auth.NewSecret(auth.Key), time.Hour); err != nil || !made {
		u.t.Fatalf("bootstrap: %v, %v", made, err)
	}
}

// put has another server write key.
func (u *unaware) put(key string) {
	u.t.Helper()
	if _, err := u.store.Do(context.Background(), &kv.Command{Ops: []kv.Op{kvtest.Put(key, "v")}}); err != nil {
		u.t.Fatal(err)
	}
}

// A heard is what a watcher was told.
type heard struct {
	mu    sync.Mutex
	texts []string
}

func (h *heard) note(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.texts = append(h.texts, text)
}

func (h *heard) has(part string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Contains(strings.Join(h.texts, "\n"), part)
}

var revision = regexp.MustCompile(`"rev":(\d+)`)

// newest returns the highest revision that the watcher was told of.
func (h *heard) newest() (newest kv.Rev) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, text := range h.texts {
		for _, m := range revision.FindAllStringSubmatch(text, -1) {
			n, _ := strconv.ParseUint(m[1], 10, 64)
			newest = max(newest, kv.Rev(n))
		}
	}
	return newest
}

// If this failed, a server that was started without authentication would go on showing everything to everyone, and
// write what anyone asks for, while the cluster has users.
func TestNothingIsServedOnceThereAreUsers(t *testing.T) {
	for _, hasKey := range []bool{true, false} {
		t.Run(fmt.Sprintf("key=%v", hasKey), func(t *testing.T) { serveNothing(t, newUnaware(t, hasKey)) })
	}
	t.Run("goroutines", func(t *testing.T) { serveNothing(t, newUnaware(t, true, goroutines)) })
}

func serveNothing(t *testing.T, u *unaware) {
	var watching sync.WaitGroup
	listeners := make([]*heard, 8)
	for i := range listeners {
		h := new(heard)
		listeners[i] = h
		if i%2 == 0 {
			watching.Go(func() {
				u.stream("", "a/1&prefix=s", func(event map[string]any) { b, _ := json.Marshal(event); h.note(string(b)) })
			})
			continue
		}
		c, _, err := wstest.DialBy(t, u.client, u.wsBase()+"/v1/ws?key=a/1&prefix=s", ws.Subprotocol)
		if err != nil {
			t.Fatal(err)
		}
		watching.Go(func() {
			for {
				_, text, err := c.Conn.Read(c.Ctx)
				if err != nil {
					h.note(fmt.Sprint("closed: ", err))
					return
				}
				h.note(string(text))
			}
		})
	}
	redis, waits := u.redis(), make(chan reply, 1)
	idle, _, err := wstest.DialBy(t, u.client, u.wsBase()+"/v1/ws", ws.Subprotocol)
	if err != nil {
		t.Fatal(err)
	}
	u.put("a/1")
	u.eventually("all are told", func() bool {
		for _, h := range listeners {
			if !h.has(`"a/1"`) {
				return false
			}
		}
		return true
	})
	tag := u.want(200, "GET", "/v1/kv/a/1", "").header.Get("ETag")
	go func() { waits <- u.do("GET", "/v1/kv/a/1?wait=30s", "", "If-None-Match", tag) }()
	u.eventually("a request waits", func() bool { return u.hub.Stats().Watchers > len(listeners) })

	stop, writing := make(chan struct{}), sync.WaitGroup{}
	writing.Go(func() { // at full speed, so that some is told at the moment at which there are users
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				u.put(fmt.Sprintf("s%d", n%10))
			}
		}
	})
	u.eventually("what is written is told", func() bool { return listeners[0].has(`"s1"`) && listeners[1].has(`"s1"`) })
	u.getUsers()
	var last kv.Rev // before which there were no users
	for r := range u.state.PrivateRecords() {
		last = r.Rev
	}
	u.put("secret")
	u.put("a/1")
	ended := make(chan struct{})
	go func() { watching.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-gate.Context(t).Done():
		t.Error("some watches do not end")
	}
	close(stop)
	writing.Wait()
	for i, h := range listeners {
		if rev := h.newest(); h.has("secret") || rev > last || !h.has(`"bye"`) || !h.has(`"starting"`) {
			t.Errorf("watcher %d was told of revision %d, want %d at most: %.500s", i, rev, last, strings.Join(h.texts[max(0, len(h.texts)-3):], "\n"))
		}
	}
	idle.WantClose(3103)
	if r := <-waits; r.status != 503 {
		t.Errorf("what waited for a change: got %d %s", r.status, r.body)
	}
	if got := redis("GET secret"); !strings.HasPrefix(got, "-LOADING") {
		t.Errorf("GET of Redis: got %s", got)
	}
	u.refuseEveryRoute()
}

// refuseEveryRoute expects that no route but those that are open to all is answered.
func (u *unaware) refuseEveryRoute() {
	u.t.Helper()
	before := u.state.Position()
	for _, c := range matrix {
		if c.need == nil {
			continue
		}
		path, _, _ := strings.Cut(c.path, "?")
		r := u.do(c.method, c.path, c.body, handshakeOf(path)...)
		if r.status != 404 && (r.status != 503 || c.method != "HEAD" && r.field("code") != "starting") {
			u.t.Errorf("%s %s: got %d %.200s, want 503 starting", c.method, c.path, r.status, r.body)
		}
		if r.status == 404 && !strings.HasPrefix(c.path, "/v1/auth/") && !strings.HasPrefix(c.path, "/v1/admin/backup") {
			u.t.Errorf("%s %s: got %d %.200s", c.method, c.path, r.status, r.body)
		}
	}
	if after := u.state.Position(); after != before {
		u.t.Errorf("the store went from %v to %v", before, after)
	}
}
