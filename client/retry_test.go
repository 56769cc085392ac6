package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/client"
)

// script is a transport that plays answers in turn, the last one for ever.
type script struct {
	answers []func() (*http.Response, error)
	asked   []asked
}

// asked is a request that the script saw.
type asked struct {
	at              time.Time
	host, key, path string
	body            string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	s.asked = append(s.asked, asked{time.Now(), r.URL.Host, r.Header.Get("Idempotency-Key"), r.URL.Path, string(body)})
	return s.answers[min(len(s.asked), len(s.answers))-1]()
}

func answer(status int, body string, header ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func failing() (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
}

var created = answer(201, `{"rev":5,"version":1,"created":true}`, "Keywatch-Durability", "memory", "ETag", `"e-5"`)

// play runs f in a bubble with a client of these answers.
func play(t *testing.T, opts client.Options, answers []func() (*http.Response, error), f func(*testing.T, *client.Client, *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: answers}
		opts.HTTP = &http.Client{Transport: s}
		opts.Fixed = true // the script has no answer about members
		c, err := client.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f(t, c, s)
	})
}

// If a write were sent again under another key, or not when it may be, or before
// the server wants it, one lost answer or one busy second would do harm.
func TestRetries(t *testing.T) {
	two := client.Options{Endpoints: []string{"a:1", "b:1"}}
	for _, c := range []struct {
		name     string
		opts     client.Options
		answers  []func() (*http.Response, error)
		asked    int
		min, max time.Duration
		err      error
	}{
		{"at once", client.Options{}, []func() (*http.Response, error){created}, 1, 0, 0, nil},
		{"rate limited", client.Options{}, []func() (*http.Response, error){answer(429, "", "Retry-After", "3"), created}, 2, 3 * time.Second, 3100 * time.Millisecond, nil},
		{"busy", client.Options{}, []func() (*http.Response, error){answer(503, `{"code":"queue_full"}`), answer(503, ``), created}, 3, 0, 200 * time.Millisecond, nil},
		{"unknown", client.Options{}, []func() (*http.Response, error){answer(504, `{"code":"outcome_unknown"}`), created}, 2, 0, 100 * time.Millisecond, nil},
		{"the next endpoint at once", two, []func() (*http.Response, error){failing, created}, 2, 0, 0, nil},
		{"no leader here", two, []func() (*http.Response, error){answer(503, `{"code":"no_leader"}`), created}, 2, 0, 0, nil},
		{"refused for good", two, []func() (*http.Response, error){answer(412, `{"code":"compare_failed"}`)}, 1, 0, 0, client.ErrConflict},
		{"unreachable", client.Options{FailFast: true}, []func() (*http.Response, error){failing}, 1, 0, 0, client.ErrUnreachable},
		{"all unreachable", client.Options{FailFast: true, Endpoints: two.Endpoints}, []func() (*http.Response, error){failing}, 2, 0, 0, client.ErrUnreachable},
		{"restarting", client.Options{FailFast: true}, []func() (*http.Response, error){answer(503, ""), failing, failing, created}, 4, 0, 500 * time.Millisecond, nil},
		{"told to come back too late", client.Options{}, []func() (*http.Response, error){answer(504, ""), answer(503, "", "Retry-After", "3600")}, 2, 0, 200 * time.Millisecond, client.ErrOutcomeUnknown},
		{"too late, and surely not applied", client.Options{}, []func() (*http.Response, error){answer(503, `{"code":"lock_held"}`, "Retry-After", "3600")}, 1, 0, 0, client.ErrLockHeld},
		{"settled by a refusal", client.Options{}, []func() (*http.Response, error){answer(504, ``), answer(409, `{"code":"lease_ended"}`)}, 2, 0, time.Second, client.ErrLeaseEnded},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, c.opts, c.answers, func(t *testing.T, cl *client.Client, s *script) {
				began := time.Now()
				did, err := cl.Put(t.Context(), "k", nil)
				if !errors.Is(err, c.err) || err == nil && did.Rev != 5 {
					t.Errorf("%+v, %v; want %v", did, err, c.err)
				}
				if took := time.Since(began); took < c.min || took > c.max {
					t.Errorf("it took %v, want %v to %v", took, c.min, c.max)
				}
				if len(s.asked) != c.asked {
					t.Fatalf("%d attempts, want %d", len(s.asked), c.asked)
				}
				for i, a := range s.asked {
					if a.key == "" || a.key != s.asked[0].key {
						t.Errorf("attempt %d has the key %q, the first %q", i, a.key, s.asked[0].key)
					}
					if len(c.opts.Endpoints) == 2 && a.host != c.opts.Endpoints[i%2] {
						t.Errorf("attempt %d went to %s", i, a.host)
					}
				}
			})
		})
	}
}

// If a client without a deadline never gave up, or forgot on its way that a
// write may have been applied, its caller would wait or err.
func TestPatience(t *testing.T) {
	for _, c := range []struct {
		name   string
		first  func() (*http.Response, error)
		unsure bool
	}{{"never there", failing, false}, {"perhaps applied", answer(504, ""), true}} {
		t.Run(c.name, func(t *testing.T) {
			play(t, client.Options{}, []func() (*http.Response, error){c.first, failing}, func(t *testing.T, cl *client.Client, s *script) {
				began := time.Now()
				_, err := cl.Put(context.Background(), "k", nil)
				if err == nil || errors.Is(err, client.ErrOutcomeUnknown) != c.unsure {
					t.Errorf("%v; unknown wanted: %v", err, c.unsure)
				}
				if took := time.Since(began); took < 20*time.Second || took > 30*time.Second {
					t.Errorf("it took %v", took)
				}
				if n := len(s.asked); n < 5 || n > 60 {
					t.Errorf("%d attempts in 30 s", n)
				}
			})
		})
	}
}

// If a watch resumed at the wrong place, at once after a bye, or although it is
// refused, it would miss events, hammer a server that stops, or never end.
func TestWatchComesBack(t *testing.T) {
	stream := func(lines ...string) func() (*http.Response, error) {
		return answer(200, strings.Join(lines, "\n")+"\n", "Content-Type", "application/x-ndjson")
	}
	answers := []func() (*http.Response, error){
		stream(`{"type":"reset","pos":"e-0"}`, `{"type":"put","key":"a","value":"1","rev":3,"version":1}`, `{"type":"synced","pos":"e-3"}`,
			`{"type":"put","key":"a","value":"2","rev":4,"version":2}`, `{"type":"put","key":"b","value":"2","rev":4,"version":1,"pos":"e-4"}`,
			`{"type":"put","key":"cut","value":"off","rev":5,"version":1}`),
		failing,
		stream(`{"type":"put","key":"cut","value":"off","rev":5,"version":1}`, `{"type":"put","key":"c","value":"3","rev":5,"version":1,"pos":"e-5"}`,
			`{"type":"bye","code":"stopping","retry_ms":2345}`),
		stream(`{"type":"resync"}`, `{"type":"put","key":"half","rev":9,"version":1}`),
		stream(`{"type":"resync"}`, `{"type":"delete","key":"a","rev":7,"version":3,"cause":"expired"}`, `{"type":"synced","pos":"e-9"}`, `{"type":"progress","pos":"e-10"}`),
		answer(503, "", "Retry-After", "7"),
		stream(`{"type":"denied"}`),
	}
	play(t, client.Options{}, answers, func(t *testing.T, c *client.Client, s *script) {
		var got []string
		var last error
		for e, err := range c.Watch(t.Context(), client.WatchOptions{Keys: []string{"x"}}) {
			if err != nil {
				last = err
				break
			}
			got = append(got, strings.TrimSpace(string(e.Type)+" "+e.Key+" "+string(e.Position)+e.Cause))
		}
		want := "reset  e-0|put a|synced  e-3|put a|put b e-4|put cut|put c e-5|resync|delete a expired|synced  e-9|progress  e-10"
		if told := strings.Join(got, "|"); told != want {
			t.Errorf("it told %s\nwant    %s", told, want)
		}
		if last != client.ErrDenied {
			t.Errorf("it ended with %v, want ErrDenied", last)
		}
		since := []string{"", "e-4", "e-4", "e-5", "e-5", "e-10", "e-10"}
		if len(s.asked) != len(since) {
			t.Fatalf("%d connections, want %d", len(s.asked), len(since))
		}
		for i, a := range s.asked {
			if has := strings.Contains(a.body, `"since":"`+since[i]+`"`); has != (since[i] != "") || i > 0 && !has {
				t.Errorf("connection %d asked for %s, want since %q", i, a.body, since[i])
			}
		}
		if d := s.asked[3].at.Sub(s.asked[2].at); d != 2345*time.Millisecond {
			t.Errorf("back %v after the bye, want 2.345s", d)
		}
		if d := s.asked[6].at.Sub(s.asked[5].at); d < 7*time.Second {
			t.Errorf("back %v after a refusal, want at least 7s", d)
		}
	})
}

// If a page of another server passed for an answer, a wrong address would show as a
// value, as success, or as a key that does not exist.
func TestAnotherServer(t *testing.T) {
	calls := map[string]func(context.Context, *client.Client) error{
		"get":    func(ctx context.Context, c *client.Client) error { _, err := c.Get(ctx, "k"); return err },
		"put":    func(ctx context.Context, c *client.Client) error { _, err := c.Put(ctx, "k", nil); return err },
		"delete": func(ctx context.Context, c *client.Client) error { _, err := c.Delete(ctx, "k"); return err },
		"prefix": func(ctx context.Context, c *client.Client) error { _, err := c.DeletePrefix(ctx, "k"); return err },
		"list": func(ctx context.Context, c *client.Client) error {
			for _, err := range c.List(ctx, "") {
				return err
			}
			return nil
		},
		"watch": func(ctx context.Context, c *client.Client) error {
			for _, err := range c.Watch(ctx, client.WatchOptions{Keys: []string{"k"}}) {
				return err
			}
			return nil
		},
		"lease": func(ctx context.Context, c *client.Client) error {
			_, err := c.GrantLease(ctx, time.Second)
			return err
		},
		"lock": func(ctx context.Context, c *client.Client) error {
			_, err := c.TryLock(ctx, "l", client.LockOptions{})
			return err
		},
	}
	page := answer(200, "<html>hello</html>", "Content-Type", "text/html", "ETag", `"5-5"`)
	for name, call := range calls {
		for status, a := range map[int]func() (*http.Response, error){200: page, 404: answer(404, "<html>"), 412: answer(412, "")} {
			play(t, client.Options{}, []func() (*http.Response, error){a}, func(t *testing.T, c *client.Client, s *script) {
				err := call(t.Context(), c)
				if !errors.Is(err, client.ErrNotKeywatch) || errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrConflict) || len(s.asked) != 1 {
					t.Errorf("%s, status %d: %v after %d requests, want ErrNotKeywatch after 1", name, status, err, len(s.asked))
				}
			})
		}
	}
}

// If a stream that says nothing were trusted, a watch on a dead connection would
// be silent for ever.
func TestWatchSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		transport := roundTripper(func(r *http.Request) (*http.Response, error) {
			n++
			in, out := io.Pipe()
			context.AfterFunc(r.Context(), func() { out.CloseWithError(r.Context().Err()) })
			go out.Write([]byte(`{"type":"synced","pos":"e-1"}` + "\n"))
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/x-ndjson; charset=utf-8"}}, Body: in}, nil
		})
		c, err := client.New(client.Options{HTTP: &http.Client{Transport: transport}, Fixed: true})
		if err != nil {
			t.Fatal(err)
		}
		var why error
		began, told := time.Now(), 0
		for _, err := range c.Watch(t.Context(), client.WatchOptions{Prefixes: []string{""}, Disconnected: func(err error, _ time.Duration) { why = err }}) {
			if err != nil {
				t.Fatal(err)
			}
			if told++; told == 2 {
				break
			}
		}
		if took := time.Since(began); n != 2 || took < 45*time.Second || took > 46*time.Second || why == nil {
			t.Errorf("%d connections after %v because of %v, want another after 45s", n, took, why)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// If a client took what is no address, every request would fail instead.
func TestOptions(t *testing.T) {
	for _, bad := range []string{"ftp://x", "http://", "http://a?b", "", "a b"} {
		if _, err := client.New(client.Options{Endpoints: []string{bad}}); err == nil {
			t.Errorf("%q is taken as an endpoint", bad)
		}
	}
	if _, err := client.New(client.Options{Patience: -1}); err == nil {
		t.Error("a negative patience is taken")
	}
}
