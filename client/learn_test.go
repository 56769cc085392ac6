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
