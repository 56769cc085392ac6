package browser_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"keywatch/test/gate"
)

// posts are the ways in which a page can send text of its own choosing to any port of the machine.
var posts = []string{
	`fetch(to, {method: 'POST', mode: 'no-cors', body: text}).catch(() => 0)`,
	`fetch(to, {method: 'POST', mode: 'no-cors', body: new Blob([text])}).catch(() => 0)`,
	`new Promise(done => { const r = new XMLHttpRequest(); r.onloadend = done; r.open('POST', to); r.setRequestHeader('Content-Type', 'text/plain'); r.send(text) })`,
	`Promise.resolve(navigator.sendBeacon(to, text))`,
	`new Promise(done => { const f = document.createElement('iframe'); f.name = 'f'; f.onload = done; document.body.append(f)
		const form = document.createElement('form'); form.method = 'POST'; form.enctype = 'text/plain'; form.target = 'f'; form.action = to
		const area = document.createElement('textarea'); area.name = text; form.append(area); document.body.append(form); form.submit() })`,
	`new Promise(done => { const s = new WebSocket(to.replace('http', 'ws')); s.onerror = s.onclose = done })`,
}

// If this failed, a page on the web that a person on this machine, or in its network, looks at could
// write keys by the port for clients of Redis. The same page sent to another port must arrive there,
// or this test proves nothing.
func TestProofPagesCannotCommandRedis(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.stop()
	var addr net.Addr
	s.config.RESP, s.config.RESPStarted = "127.0.0.1:0", func(a net.Addr) { addr = a }
	s.start()
	var arrived atomic.Int32
	control := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "SET evil 1") || r.Header.Get("Upgrade") != "" {
			arrived.Add(1)
		}
	}))
	defer control.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><body></body>")
	}))
	defer page.Close()
	p := newTab(t, nil)
	p.run(chromedp.Navigate(page.URL))
	redis := commander(t, addr.String())
	before := connections(redis)
	for i, post := range posts {
		for _, to := range []string{control.URL, "http://" + addr.String()} {
			p.eval(fmt.Sprintf(`(() => { const to = %q, text = '\r\nSET evil 1\r\nSET evil 1\r\n'; return %s })().then(() => 0)`, to+"/", post))
		}
		gate.Until(t, func() bool { return arrived.Load() > int32(i) }, "never: the control gets %s", post)
		gate.Until(t, func() bool { return connections(redis) > before+i }, "never: the port gets %s", post)
		if got := redis("EXISTS evil"); got != ":0" {
			t.Errorf("%s: the page has written a key", post)
		}
	}
	p.mu.Lock()
	p.mu.problems = nil // the connections were closed unanswered
	p.mu.Unlock()
}

// commander returns what says a line on a connection of its own and returns the first line of the
// reply, or its text.
func commander(t *testing.T, addr string) func(line string) string {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	gate.Bound(t, conn)
	r := bufio.NewReader(conn)
	return func(line string) string {
		if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
			t.Fatal(err)
		}
		reply, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscanf(reply, "$%d", &n); err != nil {
			return strings.TrimSpace(reply)
		}
		text := make([]byte, n+2)
		if _, err := io.ReadFull(r, text); err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// connections returns how many connections the port has accepted.
func connections(redis func(string) string) (n int) {
	_, after, _ := strings.Cut(redis("INFO stats"), "total_connections_received:")
	_, _ = fmt.Sscanf(after, "%d", &n)
	return n
}
