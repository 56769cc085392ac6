package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/client"
)

// A member is a server that says who the others are, counts writes, and can refuse everything.
type member struct {
	*httptest.Server
	cluster string
	others  func() []string
	down    atomic.Bool
	asked   atomic.Int32 // for the members
	key     atomic.Value // of the last write
	writes  atomic.Int32
}

func newMember(t *testing.T, cluster string, others func() []string) *member {
	m := &member{cluster: cluster, others: others}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *member) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case m.down.Load():
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(503)
		fmt.Fprint(w, `{"status":503,"code":"no_leader","detail":"no leader"}`)
	case r.URL.Path == "/v1/cluster":
		m.asked.Add(1)
		list := ""
		for i, url := range m.others() {
			if i > 0 {
				list += ","
			}
			list += fmt.Sprintf(`{"url":%q}`, url)
		}
		fmt.Fprintf(w, `{"cluster":%q,"members":[%s]}`, m.cluster, list)
	default:
		m.writes.Add(1)
		m.key.Store(r.Header.Get("Idempotency-Key"))
		w.Header().Set("Keywatch-Position", "00000001-1")
		fmt.Fprint(w, `{"rev":1,"version":1,"created":true}`)
	}
}

// If this failed, a client that was told one address of a cluster would fail with that server, or would write to
// a server of another cluster that has taken an address.
func TestClientLearnsMembers(t *testing.T) {
	var all []string
	list := func() []string { return all }
	first, second, stranger := newMember(t, "c", list), newMember(t, "c", list), newMember(t, "d", list)
	all = []string{"", "http://127.0.0.1:1", stranger.URL, first.URL, second.URL}
	c, err := client.New(client.Options{Endpoints: []string{first.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	put := func(key string) {
		t.Helper()
		if _, err := c.Do(t.Context(), &client.Request{Method: "PUT", Path: "/v1/kv/a", IdempotencyKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	put("1")
	for deadline := time.Now().Add(time.Minute); second.asked.Load() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	first.down.Store(true)
	put("2")
	if got := second.key.Load(); got != "2" || stranger.writes.Load() > 0 {
		t.Errorf("the other member got %v, a stranger %d writes", got, stranger.writes.Load())
	}
	second.down.Store(true)
	first.down.Store(false)
	put("3")
	if got := first.key.Load(); got != "3" {
		t.Errorf("the seed is forgotten: it got %v", got)
	}
}

// If this failed, a client that is to use one server only would go elsewhere.
func TestFixedClientLearnsNothing(t *testing.T) {
	var all []string
	first := newMember(t, "c", func() []string { return all })
	c, err := client.New(client.Options{Endpoints: []string{first.URL}, Fixed: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(t.Context(), &client.Request{Path: "/v1/kv/a"}); err != nil {
		t.Fatal(err)
	}
	c.Close() // waits for what is being learned
	if first.asked.Load() > 0 {
		t.Error("it asked for the members")
	}
}

// If this failed, a watch would go to a server that stops, or that is behind, instead of the one that it is sent to,
// and the next request to the one that stops.
func TestByeNamesTheNextServer(t *testing.T) {
	var urls [3]string
	asked := make(chan int, 8) // which server a request came to
	for i := range urls {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- i
			w.Header().Set("Keywatch-Position", "00000001-1")
			if r.URL.Path != "/v1/watch" {
				fmt.Fprint(w, `{"rev":1,"version":1,"created":true}`)
				return
			}
			w.Header().Set("Content-Type", "application/x-ndjson")
			fmt.Fprintln(w, `{"type":"synced","pos":"00000001-1"}`)
			if i == 0 {
				fmt.Fprintf(w, `{"type":"bye","code":"stopping","retry_ms":1,"endpoints":["::","http://127.0.0.1:1",%q,%q]}`+"\n", urls[2], urls[1])
			}
		}))
		t.Cleanup(s.Close)
		urls[i] = s.URL
	}
	c, err := client.New(client.Options{Endpoints: urls[:], Fixed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := 0
	for _, err := range c.Watch(t.Context(), client.WatchOptions{Keys: []string{"k"}}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
		if _, err := c.Do(t.Context(), &client.Request{Method: "PUT", Path: "/v1/kv/a"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Do(t.Context(), &client.Request{Method: "PUT", Path: "/v1/kv/a"}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 0, 2, 2} {
		if got := <-asked; got != want {
			t.Errorf("request %d came to server %d, want %d", i, got, want)
		}
	}
}
