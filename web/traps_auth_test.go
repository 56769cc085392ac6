package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/web"
)

// If this failed, one user's request would be answered as another's on the same connection, such as a
// proxy's.
func TestEachRequestIsItsUsers(t *testing.T) {
	for name, change := range map[string]func(*web.Options){"loops": func(*web.Options) {}, "goroutines": goroutines, "TLS": secure} {
		t.Run(name, func(t *testing.T) {
			s := newSecured(t, change)
			users := []struct{ secret, who, key, status string }{
				{s.user("ann", "read:ann/", "write:ann/"), "ann", "ann/1", "200"}, {s.user("bob", "read:bob/"), "bob", "bob/1", "404"}, {"", "", "ann/1", "401"},
			}
			s.want(201, "PUT", "/v1/kv/ann/1", "1", as(s.secret)...)
			var wait sync.WaitGroup
			for i := range 4 {
				c := s.wire(t)
				wait.Go(func() { // each pipelines the requests of all of them
					for round := range 30 {
						asked := slices.Concat(users[(i+round)%3:], users[:(i+round)%3])
						for _, u := range asked {
							line := ""
							if u.secret != "" {
								line = "Authorization: Bearer " + u.secret + "\r\n"
							}
							c.send("GET /v1/kv/" + u.key + " HTTP/1.1\r\nHost: localhost\r\n" + line + "\r\n" +
								"GET /v1/auth/whoami HTTP/1.1\r\nHost: localhost\r\n" + line + "\r\n")
						}
						for _, u := range asked {
							got, me := c.answer("GET"), c.answer("GET")
							if !strings.Contains(got, "HTTP/1.1 "+u.status) || u.who != "" && !strings.Contains(me, `"user":"`+u.who+`"`) || u.who == "" && !strings.Contains(me, " 401 ") {
								t.Errorf("%q: got %s\n%s", u.who, got, me)
							}
						}
					}
				})
			}
			wait.Wait()
		})
	}
}

// If this failed, a refusal would tell what stands at a key that its caller may not read, or whether
// anything does. An administrator is told, or this test looks at nothing.
func TestRefusalsTellNothing(t *testing.T) {
	s := newSecured(t, inClear)
	ann := s.user("ann", "write:w/", "lease", "lock:w")
	requests := []struct {
		method, path, body string
		headers            []string
	}{
		{"GET", "/v1/kv/a", "", nil}, {"HEAD", "/v1/kv/a", "", nil}, {"GET", "/v1/kv/a", "", []string{"If-None-Match", `"7f3a9c21-3"`}},
		{"PUT", "/v1/kv/a", "x", nil}, {"PUT", "/v1/kv/a", "x", []string{"If-Match", `"7f3a9c21-3"`}}, {"DELETE", "/v1/kv/a", "", nil},
		{"PUT", "/v1/kv/w/1", "x", []string{"If-Fence", "a=7"}}, {"PUT", "/v1/kv/a", "x", []string{"Idempotency-Key", "k"}},
		{"GET", "/v1/kv?prefix=", "", nil}, {"GET", "/v1/kv?prefix=&limit=1&cursor=MWEvYg", "", nil}, {"DELETE", "/v1/kv?prefix=a", "", nil},
		{"POST", "/v1/cas/a", `{"expected":null,"new":"x"}`, nil}, {"POST", "/v1/cas/w/2", `{"expected":"secret","new":"x"}`, nil},
		{"POST", "/v1/add/a", "", nil}, {"POST", "/v1/touch/a?ttl=1h", "", nil},
		{"POST", "/v1/batch", `{"ops":[{"op":"put","key":"w/3","value":"x"}],"checks":[{"key":"a","absent":true}]}`, nil},
		{"POST", "/v1/batch", `{"ops":[{"op":"put","key":"w/3","value":"x"}],"checks":[{"key":"a","value":"secret"}]}`, nil},
		{"POST", "/v1/batch", `{"ops":[{"op":"put","key":"w/3","value":"x"}],"checks":[{"key":"w/2","rev":0}],"else":[{"op":"get","key":"a"}]}`, nil},
		{"GET", "/v1/locks/a", "", nil}, {"DELETE", "/v1/locks/a?token=7", "", nil}, {"POST", "/v1/locks/a/keepalive", `{"token":7}`, nil},
		{"GET", "/v1/leases/l-0123456789abcdef0123456789abcdef", "", nil}, {"PUT", "/v1/kv/w/1?lease=l-0123456789abcdef0123456789abcdef", "x", nil},
	}
	answers := func(secret string) (all []string) {
		for _, q := range requests {
			r := s.do(q.method, q.path, q.body, append(as(secret), q.headers...)...)
			for _, name := range []string{"Date", "Keywatch-Position"} {
				r.header.Del(name)
			}
			all = append(all, fmt.Sprint(q.method, " ", q.path, " ", r.status, r.header, position.ReplaceAllString(r.body, "")))
		}
		return all
	}
	before, told := answers(ann), answers(s.secret)
	for _, key := range []string{"a/b", "w/2"} {
		s.want(201, "PUT", "/v1/kv/"+key, "secret", as(s.secret)...)
	}
	for range 3 {
		s.do("PUT", "/v1/kv/a", "secret", as(s.secret)...)
	}
	s.do("PUT", "/v1/kv/a", "x", append(as(s.secret), "Idempotency-Key", "k")...)
	s.want(200, "POST", "/v1/locks/a", `{"ttl":"1h"}`, as(s.secret)...)
	for i, now := range answers(ann) {
		if now != before[i] {
			t.Errorf("with other keys and locks there\n got %s\nwant %s", now, before[i])
		}
	}
	differ := 0
	for i, now := range answers(s.secret) {
		if now != told[i] {
			differ++
		}
	}
	if differ < 10 {
		t.Errorf("an administrator is told of %d differences, want most", differ)
	}
}

// position matches what each answer may say: how much is written overall.
var position = regexp.MustCompile(`"(position|at)":"[^"]*"`)

// If this failed, what the server prints about credentials could be used as one.
func TestNothingPrintedIsACredential(t *testing.T) {
	s := newSecured(t)
	s.person("ann", "read,watch:a/")
	session := s.logIn("ann")
	s.want(201, "POST", "/v1/auth/keys", `{"user":"ann","ttl":"1h","label":"deploy"}`, as(s.secret)...)
	s.issue(session, `{"keys":["a/1"]}`)
	texts := map[string]bool{}
	for _, path := range []string{
		"/v1/auth/users", "/v1/auth/users/ann", "/v1/auth/keys", "/v1/auth/sessions", "/v1/auth/whoami", "/v1/auth/roles", "/v1/status",
	} {
		var doc any
		if err := json.Unmarshal([]byte(s.want(200, "GET", path, "", as(s.secret)...).body), &doc); err != nil {
			t.Fatal(err)
		}
		collect(doc, texts)
	}
	for _, word := range strings.Fields(s.want(200, "GET", "/metrics", "", as(s.secret)...).body) {
		if strings.Contains(word, "auth") {
			texts[word] = true
		}
	}
	ids := 0
	for text := range texts {
		if _, ok := auth.ParseCredID(text); ok {
			ids++
		}
		for _, secret := range []string{text, "kwk_" + text, "kws_" + text, "kwt_" + text} {
			if _, err := s.table.Authenticate([]byte(secret)); err == nil {
				t.Errorf("%q is a credential", secret)
			}
			if _, err := s.table.UseTicket(secret, ""); err == nil {
				t.Errorf("%q is a ticket", secret)
			}
		}
	}
	if ids < 3 {
		t.Errorf("%d ids of credentials were printed, want those of two keys and a session", ids)
	}
	if _, err := s.table.Authenticate([]byte(session)); err != nil {
		t.Errorf("the control is no credential: %v", err)
	}
}

// collect adds all texts in a JSON value.
func collect(doc any, to map[string]bool) {
	switch v := doc.(type) {
	case string:
		to[v] = true
	case []any:
		for _, e := range v {
			collect(e, to)
		}
	case map[string]any:
		for name, e := range v {
			to[name] = true
			collect(e, to)
		}
	}
}

// If this failed, what may not be done would be done, or told in another way, while the store cannot take
// writes.
func TestRoutesAskWhoMayInNeed(t *testing.T) {
	for name, why := range map[string]error{"disk full": kv.ErrDiskFull, "memory full": kv.ErrMemoryFull, "no leader": kv.ErrNoLeader} {
		t.Run(name, func(t *testing.T) {
			s := newSecured(t)
			ann := s.user("ann", "read,write,watch:zz/", "lock:zz")
			s.log.fail = func(_ context.Context, c *kv.Command) error {
				if c.Private != nil {
					return nil
				}
				return why
			}
			for _, c := range matrix {
				if c.need == nil || &c.need[0] == &anyone[0] {
					continue
				}
				for secret, status := range map[string]int{"": 401, auth.NewSecret(auth.Key): 401, ann: 403} {
					headers := handshakeOf(c.path)
					if secret != "" {
						headers = append(headers, as(secret)...)
					}
					if r := s.do(c.method, c.path, c.body, headers...); r.status != status {
						t.Errorf("%s %s: got %d %s, want %d", c.method, c.path, r.status, r.body, status)
					}
				}
			}
			if r := s.do("PUT", "/v1/kv/a/1", "x", as(s.secret)...); r.status != 503 { // the control
				t.Errorf("got %d %s, want it to fail for who may", r.status, r.body)
			}
		})
	}
}

// If this failed, a server that starts or stops would answer for keys without a look at who asks.
func TestNobodyIsServedWhileStarting(t *testing.T) {
	for name, why := range map[string]error{"starting": kv.ErrStarting, "stopping": kv.ErrStopping} {
		t.Run(name, func(t *testing.T) {
			var refuses atomic.Bool
			s := newSecured(t, func(o *web.Options) {
				o.Serving = func() error {
					if refuses.Load() {
						return why
					}
					return nil
				}
			})
			s.want(201, "PUT", "/v1/kv/a/1", "1", as(s.secret)...)
			refuses.Store(true)
			for _, c := range matrix {
				if c.need == nil {
					continue
				}
				for _, headers := range [][]string{nil, as(s.secret)} {
					status := s.statusOf(c.method, c.path, c.body, append(handshakeOf(c.path), headers...)...)
					open := headers != nil && (strings.HasPrefix(c.path, "/v1/status") || strings.HasPrefix(c.path, "/metrics"))
					if status < 400 && !open {
						t.Errorf("%s %s with %d headers: got %d", c.method, c.path, len(headers), status)
					}
				}
			}
			refuses.Store(false)
			s.want(200, "GET", "/v1/kv/a/1", "", as(s.secret)...)
		})
	}
}

// If this failed, passwords could be tried without a limit by who writes another address into each request.
func TestLoginLimitsTrustNoStranger(t *testing.T) {
	limits := func(o *web.Options) {
		o.LoginRate = web.LoginRate{Address: ratelimit.Rate{PerSecond: 0.001, Burst: 3}, Name: ratelimit.Rate{PerSecond: 0.001, Burst: 1000}}
	}
	tried := func(s *secured, chain string) (refused int) {
		for i := range 10 {
			r := s.do("POST", "/v1/auth/login", fmt.Sprintf(`{"user":"u%d","password":"wrong password"}`, i), "X-Forwarded-For", fmt.Sprintf(chain, i))
			if r.status == 429 {
				refused++
			}
		}
		return refused
	}
	if n := tried(newSecured(t, limits), "192.0.2.%d"); n != 7 {
		t.Errorf("%d of 10 were refused that say another address each, want 7", n)
	}
	proxied := func(o *web.Options) { o.TrustedProxy = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
	if n := tried(newSecured(t, limits, proxied), "192.0.2.%d, 198.51.100.7"); n != 7 {
		t.Errorf("%d of 10 were refused of one address behind a proxy, want 7", n)
	}
	if n := tried(newSecured(t, limits, proxied), "192.0.2.%d"); n != 0 { // the control
		t.Errorf("%d were refused of ten addresses behind a proxy", n)
	}
}
