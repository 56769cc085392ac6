package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"keywatch/client"
)

// guarded is a transport of a server that accepts one token.
type guarded struct {
	accept string
	seen   []string
	then   func() (*http.Response, error)
}

func (g *guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	got := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	g.seen = append(g.seen, got)
	if got != g.accept {
		return answer(401, `{"code":"unauthenticated","reason":"expired"}`)()
	}
	return g.then()
}

func newGuarded(t *testing.T, g *guarded, opts client.Options) *client.Client {
	t.Helper()
	opts.HTTP, opts.Fixed = &http.Client{Transport: g}, true
	c, err := client.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A token that is not accepted must be asked for once more, and the same write repeated; then it is an
// error that says so.
func TestTokenSource(t *testing.T) {
	g := &guarded{accept: "two", then: created}
	asked := 0
	c := newGuarded(t, g, client.Options{TokenSource: func(context.Context) (string, error) {
		asked++
		return []string{"one", "two", "three", "four"}[asked-1], nil
	}})
	for range 2 {
		if _, err := c.Put(t.Context(), "a", []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(g.seen); got != "[one two two]" {
		t.Errorf("it sent %s", got)
	}
	g.accept = "none"
	if _, err := c.Put(t.Context(), "a", []byte("1")); !errors.Is(err, client.ErrUnauthenticated) || len(g.seen) != 5 {
		t.Errorf("got %v after %q, want ErrUnauthenticated after one more try", err, g.seen)
	}
	failed := errors.New("no token today")
	c = newGuarded(t, g, client.Options{TokenSource: func(context.Context) (string, error) { return "", failed }})
	if _, err := c.Get(t.Context(), "a"); !errors.Is(err, failed) {
		t.Errorf("got %v, want the source's error", err)
	}
}

// A token must not go over http to another machine by mistake.
func TestTokenStaysPrivate(t *testing.T) {
	for endpoint, sent := range map[string]bool{
		"http://127.0.0.1:1": true, "http://localhost:1": true, "http://[::1]:1": true, "https://kv.example.org": true,
		"http://kv.example.org": false, "http://192.0.2.1:1": false, "http://127.0.0.1.example.org": false,
	} {
		for _, plaintext := range []bool{false, true} {
			g := &guarded{accept: "one", then: created}
			c := newGuarded(t, g, client.Options{Endpoints: []string{endpoint}, Token: "one", Plaintext: plaintext})
			_, err := c.Put(t.Context(), "a", []byte("1"))
			if want := sent || plaintext; (len(g.seen) > 0) != want || (err == nil) != want {
				t.Errorf("%s, plaintext %v: sent %q, got %v", endpoint, plaintext, g.seen, err)
			}
		}
	}
	g := &guarded{accept: "", then: answer(403, `{"code":"denied","need":"write:a"}`)}
	if _, err := newGuarded(t, g, client.Options{}).Put(t.Context(), "a", nil); !errors.Is(err, client.ErrForbidden) {
		t.Errorf("got %v, want ErrForbidden", err)
	}
}

// A watch must continue behind the end of a credential if there is another, at its place, and end if
// that one does not help.
func TestWatchGetsAnotherToken(t *testing.T) {
	streams := []string{
		`{"type":"reset","pos":"e-0"}` + "\n" + `{"type":"put","key":"a","value":"1","rev":3,"version":1}` + "\n" + `{"type":"synced","pos":"e-3"}` + "\n" + `{"type":"denied","code":"expired"}`,
		`{"type":"put","key":"a","value":"2","rev":4,"version":2,"pos":"e-4"}` + "\n" + `{"type":"denied","code":"expired"}`,
		`{"type":"denied","code":"expired"}`,
	}
	var answers []func() (*http.Response, error)
	for _, s := range streams {
		answers = append(answers, answer(200, s+"\n", "Content-Type", "application/x-ndjson"))
	}
	asked := 0
	opts := client.Options{TokenSource: func(context.Context) (string, error) { asked++; return fmt.Sprint("t", asked), nil }}
	play(t, opts, answers, func(t *testing.T, c *client.Client, s *script) {
		told, last := 0, error(nil)
		for _, err := range c.Watch(t.Context(), client.WatchOptions{Keys: []string{"a"}}) {
			if last = err; err == nil {
				told++
			}
		}
		if told != 4 || !errors.Is(last, client.ErrDenied) || asked != 3 || !strings.Contains(s.asked[2].body, `"since":"e-4"`) {
			t.Errorf("it told %d events, asked for %d tokens and ended with %v", told, asked, last)
		}
	})
}
