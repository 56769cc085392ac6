package web_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"keywatch/kv"
	"keywatch/web"
)

// A waiter is a request that waits, in a bubble of its own time.
type waiter struct {
	log     *directLog
	server  *web.Server
	handler fasthttp.RequestHandler
}

// inBubble runs f with a server whose time is its own.
func inBubble(t *testing.T, f func(t *testing.T, w *waiter)) {
	// Outside first: what fasthttp starts once must not belong to a bubble.
	newWorld(t).want(200, "GET", "/healthz", "")
	synctest.Test(t, func(t *testing.T) {
		log, hub := newStore(t, kv.Params{})
		s, err := web.New(web.Options{Store: storeOf(log), Hub: hub})
		if err != nil {
			t.Fatal(err)
		}
		f(t, &waiter{log: log, server: s, handler: s.Handler()})
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// ask answers a request.
func (w *waiter) ask(method, path, body string, headers ...string) *fasthttp.Response {
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(path)
	ctx.Request.Header.SetHost("localhost")
	ctx.Request.SetBodyString(body)
	for i := 0; i < len(headers); i += 2 {
		ctx.Request.Header.Set(headers[i], headers[i+1])
	}
	w.handler(&ctx)
	return &ctx.Response
}

// A wait must end as soon as the key changes, goes or comes, and at the end of
// its time otherwise; else a poller sleeps through a change.
func TestWait(t *testing.T) {
	const etag = `"7f3a9c21-1"`
	for _, c := range []struct {
		name, path, etag  string
		write, value      string
		status            int
		body              string
		after, wantedTime time.Duration
	}{
		{"changed", "/v1/kv/a?wait=30s", etag, "PUT", "2", 200, "2", 7 * time.Second, 7 * time.Second},
		{"deleted", "/v1/kv/a?wait=30s", etag, "DELETE", "", 404, "", 7 * time.Second, 7 * time.Second},
		{"unchanged", "/v1/kv/a?wait=30s", etag, "", "", 304, "", 0, 30 * time.Second},
		{"changed before", "/v1/kv/a?wait=30s", `"7f3a9c21-9"`, "", "", 200, "1", 0, 0},
		{"present", "/v1/kv/a?wait=30s", "", "", "", 200, "1", 0, 0},
		{"created", "/v1/kv/b?wait=5m", "", "PUT", "new", 200, "new", 4 * time.Minute, 4 * time.Minute},
		{"never created", "/v1/kv/b?wait=5m", "", "", "", 404, "", 0, 5 * time.Minute},
		{"gone already", "/v1/kv/b?wait=30s", etag, "", "", 404, "", 0, 0},
		{"no time", "/v1/kv/a?wait=0", etag, "", "", 304, "", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *waiter) {
				w.ask("PUT", "/v1/kv/a", "1")
				if c.write != "" {
					time.AfterFunc(c.after, func() {
						// A neighbour's change ends no wait.
						w.ask("PUT", "/v1/kv/neighbour", "x")
						w.ask(c.write, c.path[:len("/v1/kv/a")], c.value)
					})
				}
				began := time.Now()
				var headers []string
				if c.etag != "" {
					headers = []string{"If-None-Match", c.etag}
				}
				resp := w.ask("GET", c.path, "", headers...)
				if got := resp.StatusCode(); got != c.status {
					t.Errorf("got %d %s, want %d", got, resp.Body(), c.status)
				}
				if got := string(resp.Body()); c.status == 200 && got != c.body {
					t.Errorf("got %q, want %q", got, c.body)
				}
				if took := time.Since(began); took != c.wantedTime {
					t.Errorf("took %v, want %v", took, c.wantedTime)
				}
			})
		})
	}
}

// A client that waits when the server stops must be answered at once, to ask again
// elsewhere: five minutes would outlast any grace.
func TestWaitEndsAtShutdown(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waiter) {
		w.ask("PUT", "/v1/kv/a", "1")
		time.AfterFunc(3*time.Second, func() {
			if err := w.server.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		resp := w.ask("GET", "/v1/kv/a?wait=5m", "", "If-None-Match", `"7f3a9c21-1"`)
		if got := resp.StatusCode(); got != 503 {
			t.Errorf("got %d %s, want 503", got, resp.Body())
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
	})
}

// A log that does not answer must not hold a request for ever: a read says that
// it was not confirmed, a write that its fate is unknown.
func TestLogThatHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waiter) {
		w.log.barrier = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		w.log.fail = func(ctx context.Context, _ *kv.Command) error { <-ctx.Done(); return kv.ErrOutcomeUnknown }
		for _, c := range []struct {
			method, path, body string
			status             int
		}{
			{"GET", "/v1/kv/a", "", 503},
			{"GET", "/v1/kv?prefix=a", "", 503},
			{"POST", "/v1/batch", `{"ops":[{"op":"get","key":"a"}]}`, 503},
			{"PUT", "/v1/kv/a", "1", 504},
			{"POST", "/v1/batch", `{"ops":[{"op":"put","key":"a","value":"1"}]}`, 504},
		} {
			began := time.Now()
			if got := w.ask(c.method, c.path, c.body); got.StatusCode() != c.status {
				t.Errorf("%s %s: got %d %s, want %d", c.method, c.path, got.StatusCode(), got.Body(), c.status)
			}
			if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
				t.Errorf("%s %s took %v, want 10 to 11 s", c.method, c.path, took)
			}
		}
	})
}
