package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"keywatch/app"
	"keywatch/test/gate"
)

// browser is the one Chromium of all tests, which TestMain ends.
var browser struct {
	sync.Mutex
	ctx    context.Context
	cancel []context.CancelFunc
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, cancel := range browser.cancel {
		cancel()
	}
	os.Exit(code)
}

// chromium returns the context of a running Chromium. It skips the test, loudly,
// where there is none.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path := gate.Program(t, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
	browser.Lock()
	defer browser.Unlock()
	if browser.ctx == nil {
		launch(path)
	}
	if browser.err != nil {
		t.Fatalf("start %s: %v", path, browser.err)
	}
	return browser.ctx
}

// launch starts Chromium with an empty profile and without any traffic of its
// own.
func launch(path string) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-features", "Translate,OptimizationHints,MediaRouter"), chromedp.WindowSize(1280, 800))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	browser.ctx, browser.cancel = ctx, []context.CancelFunc{cancel, stop}
	browser.err = chromedp.Do(ctx)
}

// A tab is one page. Tabs of one profile share what an origin shares.
type tab struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc

	traffic traffic

	mu struct {
		sync.Mutex
		problems []string
	}
}

// newTab opens a tab in a profile of its own, beside of where that is not nil.
func newTab(t *testing.T, of *tab) *tab {
	t.Helper()
	var ctx context.Context
	var cancel context.CancelFunc
	if of == nil {
		ctx, cancel = chromedp.NewContext(chromium(t), chromedp.WithNewBrowserContext())
	} else {
		ctx, cancel = chromedp.NewContext(chromium(t), chromedp.WithExistingBrowserContext(chromedp.FromContext(of.ctx).BrowserContextID))
	}
	p := &tab{t: t, ctx: ctx, cancel: cancel}
	t.Cleanup(p.cancel)
	p.run() // opens the tab; what follows may be limited in time
	if end, limited := gate.Context(t).Deadline(); limited {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, end.Add(5*time.Second)) // what waits in vain can still say what the page shows
		t.Cleanup(stop)
	}
	p.ctx = ctx
	if err := chromedp.Listen(ctx, p.heard); err != nil {
		t.Fatalf("browser: %v", err)
	}
	p.listen()
	p.slow()
	t.Cleanup(p.clean)
	return p
}

// slow has the page run so many times slower as KEYWATCH_BROWSER_SLOW says.
// What lasts a moment then lasts long enough to be met: a focus that is nowhere,
// a button that is not drawn yet.
func (p *tab) slow() {
	p.t.Helper()
	times := os.Getenv("KEYWATCH_BROWSER_SLOW")
	if times == "" {
		return
	}
	rate, err := strconv.ParseFloat(times, 64)
	if err != nil || rate < 1 {
		p.t.Fatalf("KEYWATCH_BROWSER_SLOW is %q, want a number of at least 1", times)
	}
	p.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetCPUThrottlingRate, emulation.SetCPUThrottlingRateParams{Rate: rate})
		return err
	}))
}

// heard collects what goes wrong in the page without anybody asking.
func (p *tab) heard(event any) {
	p.traffic.heard(event)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.mu.problems = append(p.mu.problems, fmt.Sprintf("%+v", e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			p.mu.problems = append(p.mu.problems, fmt.Sprintf("console: %s", e.Args[0].Value))
		}
	case *log.EventEntryAdded:
		// Of the network it tells every 412, too; of the policy it tells only here.
		if e.Entry.Source != log.EntrySourceNetwork && (e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning) {
			p.mu.problems = append(p.mu.problems, fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text))
		}
	}
}

// clean fails the test if a script of the page broke, warned or met its policy.
// Every test ends with it.
func (p *tab) clean() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, problem := range p.mu.problems {
		p.t.Errorf("the page reported: %s", problem)
	}
	p.mu.problems = nil
}

func (p *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatalf("browser: %v", err)
	}
}

// eval runs an expression, which may be a promise, for what it does.
func (p *tab) eval(expression string) {
	p.t.Helper()
	value[chromedp.Void](p, expression)
}

// value returns what an expression, which may be a promise, is or becomes.
func value[T any](p *tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("evaluate %.300s: %v", expression, err)
	}
	return v
}

// drawn returns what an expression for a text is once the page was drawn again.
func (p *tab) drawn(expression string) string {
	p.t.Helper()
	return value[string](p, `new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(() => resolve(`+expression+`))))`)
}

// until waits for an expression to be true.
func (p *tab) until(expression string) {
	p.t.Helper()
	gate.Until(p.t, func() bool { return value[bool](p, "Boolean("+expression+")") },
		"never true: %s\nof the network:\n%s\nthe page shows:\n%s", expression, p.traffic.String, func() string { return value[string](p, "document.body.innerText") })
}

// A server is keywatch, whole, on one address for as long as the test lives.
type server struct {
	t      *testing.T
	config app.ServeConfig
	url    string
	stop   func()
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, config: app.ServeConfig{Config: app.Config{Data: t.TempDir(), Fsync: "interval"}, Listen: "127.0.0.1:0", Grace: 2 * time.Second}}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// start begins to serve; after the first time on the same address.
func (s *server) start() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() { ended <- app.Serve(ctx, s.config, func(a net.Addr) { started <- a }) }()
	select {
	case a := <-started:
		s.config.Listen, s.url = a.String(), s.config.TLS.Scheme()+"://"+a.String()
	case err := <-ended:
		s.t.Fatalf("serve: %v", err)
	}
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Logf("serve ended: %v", err)
		}
	})
}

// do sends a request and returns the body of its answer, which must be a
// success.
func (s *server) do(method, path, body string) string {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, answer, err)
	}
	return string(answer)
}

func (s *server) put(key, value string) {
	s.t.Helper()
	s.do("PUT", "/v1/kv/"+url.PathEscape(key), value)
}

func (s *server) delete(key string) {
	s.t.Helper()
	s.do("DELETE", "/v1/kv/"+url.PathEscape(key), "")
}

// fill writes n keys by batches; value names the value of each.
func (s *server) fill(n int, key func(int) string, value func(int) string) {
	s.t.Helper()
	type op struct {
		Op    string `json:"op"`
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	for from := 0; from < n; from += 1000 {
		var ops []op
		for i := from; i < min(n, from+1000); i++ {
			ops = append(ops, op{"put", key(i), value(i)})
		}
		var body bytes.Buffer
		if err := json.NewEncoder(&body).Encode(map[string]any{"ops": ops}); err != nil {
			s.t.Fatal(err)
		}
		s.do("POST", "/v1/batch", body.String())
	}
}

// state returns every key and value that begins with prefix.
func (s *server) state(prefix string) map[string]string {
	s.t.Helper()
	var page struct {
		Entries []struct{ Key, Value string } `json:"entries"`
	}
	body := s.do("GET", "/v1/kv?limit=10000&prefix="+url.QueryEscape(prefix), "")
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		s.t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range page.Entries {
		all[e.Key] = e.Value
	}
	return all
}

// metric returns the value of a metric without labels.
func (s *server) metric(name string) int {
	s.t.Helper()
	for line := range strings.Lines(s.do("GET", "/metrics", "")) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				s.t.Fatalf("%s: %v", name, err)
			}
			return int(n)
		}
	}
	s.t.Fatalf("there is no metric %s", name)
	return 0
}

// wait waits until the metric is n.
func (s *server) wait(name string, n int) {
	s.t.Helper()
	gate.Until(s.t, func() bool { return s.metric(name) == n }, "%s never is %d", name, n)
}
