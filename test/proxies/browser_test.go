package proxies_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"keywatch/test/gate"
)

// page follows a key in either way. It is what a careful page does: when the
// browser gives up on an EventSource, because a proxy answered for a server that
// was down, it opens another one where the last was.
const page = `<!doctype html><meta charset="utf-8"><script>
window.got = []; window.synced = 0; window.opened = 0; window.lags = [];
let last = "";
function put(m) {
  const [n, at] = m.value.split(" ");
  got.push(Number(n)); lags.push(Date.now() - Number(at));
}
function eventSource(base, key) {
  opened++;
  const es = new EventSource(base + "/v1/watch?state=0&key=" + key + (last ? "&last_event_id=" + last : ""));
  es.addEventListener("put", e => { put(JSON.parse(e.data)); last = e.lastEventId; });
  es.addEventListener("synced", e => { synced++; last = e.lastEventId; });
  es.onerror = () => { if (es.readyState === EventSource.CLOSED) setTimeout(() => eventSource(base, key), 200); };
}
function webSocket(base, key) {
  opened++;
  const ws = new WebSocket(base.replace("http", "ws") + "/v1/ws", "keywatch.v1.json");
  ws.onopen = () => ws.send(JSON.stringify({id: 1, op: "watch", keys: [key], ...(last ? {since: last} : {state: false})}));
  ws.onmessage = e => {
    const m = JSON.parse(e.data);
    if (m.pos) last = m.pos;
    if (m.type === "put") put(m);
    if (m.type === "synced") synced++;
  };
  ws.onclose = () => setTimeout(() => webSocket(base, key), 200);
}
</script>`

// newBrowser starts a browser with an empty profile that ends with the test.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	path := gate.Program(t, "chromium", "chromium-browser", "google-chrome")
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.NoFirstRun, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.WSURLReadTimeout(time.Hour))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser, which writes to its profile
		cancel()
	})
	if _, err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// If a browser's streams lost or held up events behind a proxy, or did not resume
// where they were when the server is restarted, dashboards would show what
// is no longer so.
func TestProofBrowsersThroughProxies(t *testing.T) {
	gate.Long(t)
	browser := newBrowser(t)
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, page)
	}))
	defer pages.Close()
	for _, w := range ways {
		for _, kind := range []string{"eventSource", "webSocket"} {
			t.Run(w.name+"/"+kind, func(t *testing.T) {
				s := newServer(t, pages.URL)
				ctx, cancel := chromedp.NewContext(browser)
				defer cancel()
				follow(ctx, t, s, pages.URL, fmt.Sprintf(`%s("http://%s", "k")`, kind, w.open(t, s.addr)))
			})
		}
	}
}

// follow has a page follow a key through a restart of the server.
func follow(ctx context.Context, t *testing.T, s *server, pageURL, start string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Steps(chromedp.Navigate(pageURL), chromedp.Evaluate[chromedp.Void](start))); err != nil {
		t.Fatal(err)
	}
	number := func(what string) int { return evaluate[int](ctx, t, what) }
	eventually(t, "the watch begins", func() bool { return number("synced") > 0 })
	quick := func() int {
		return number(fmt.Sprintf("got.filter((_, i) => i !== %d && lags[i] < %d).length", sent/2, heldBack.Milliseconds()))
	}
	events := 0
	for ; events < sent || quick() < prompt; events++ {
		i := events
		if i == sent/2 {
			s.restart() // the next happens before the page has reconnected
		}
		s.put("k", fmt.Sprintf("%d %d", i, now()))
		eventually(t, fmt.Sprintf("event %d arrives by itself", i), func() bool { return number("got.length") > i })
	}
	got := evaluate[[]int](ctx, t, "got")
	for i := range events {
		if len(got) != events || got[i] != i {
			t.Fatalf("got %v, want 0 to %d, each once", got, events-1)
		}
	}
	t.Logf("%d events, %d of them within %v, over %d connections that the page opened itself", events, quick(), heldBack, number("opened"))
}

// now is the clock that the browser has too.
func now() int64 { return time.Now().UnixMilli() }

// evaluate returns what an expression is in the page.
func evaluate[T any](ctx context.Context, t *testing.T, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}
