package browser_test

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"keywatch/test/gate"
)

// proxied puts a proxy before s that lets everything through but WebSockets,
// for which it has block. It returns the address of the proxy.
func proxied(t *testing.T, s *server, block http.HandlerFunc) string {
	t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/ws" {
			block(w, r)
			return
		}
		defer func() { _ = recover() }() // a client that left ends a stream this way
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	return front.URL
}

func refuse(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }

// hangUp agrees to a WebSocket and closes it before anything has passed.
func hangUp(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: keywatch.v1.json\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
}

// If pages behind a proxy that blocks WebSockets saw nothing, they would be
// blind in many offices; if they missed something, wrong.
func TestProofWithoutWebSockets(t *testing.T) {
	gate.Long(t)
	for _, way := range []struct {
		name   string
		block  http.HandlerFunc
		before string
	}{
		{"refused", refuse, ""},
		{"cut at once", hangUp, ""},
		{"not there", refuse, "delete globalThis.WebSocket; "},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			s := newServer(t)
			s.put("n", "0")
			front := &server{t: t, url: proxied(t, s, way.block)}
			open := func(of *tab) *tab {
				p := newTab(t, of)
				p.run(chromedp.Navigate(front.url + "/healthz"))
				p.eval(way.before + `import('/keywatch.js').then(m => { window.kw = new m.Keywatch() })`)
				p.follow()
				return p
			}
			one := open(nil)
			two := open(one)
			for i := range 20 {
				s.put("n", fmt.Sprint(i))
				if i == 10 {
					s.stop()
					s.start()
				}
			}
			for _, p := range []*tab{one, two} {
				p.consecutive(21)
				p.until(`kw.state.transport === 'sse'`) // a tab that does not lead is told later
			}
			s.wait("keywatch_sockets", 0)
			s.wait("keywatch_streams", 2) // one a watch, all from the tab that leads
		})
	}
}

// If a page slept on when the network is back or the page is looked at, it would show
// old values for up to twenty seconds.
func TestProofWakes(t *testing.T) {
	gate.Long(t)
	for _, way := range []struct {
		name string
		wake func(p *tab)
	}{
		{"online", func(p *tab) { p.online(true) }},
		{"visible", func(p *tab) {
			p.eval(`void (() => {
				Object.defineProperty(document, 'visibilityState', { value: 'visible', configurable: true })
				document.dispatchEvent(new Event('visibilitychange'))
			})()`)
		}},
		{"asked to", func(p *tab) { p.eval(`kw.wake()`) }},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			s := newServer(t)
			s.put("n", "1")
			p := client(t, s, nil, "")
			p.follow()
			p.online(way.name != "online")
			p.eval(`Math.random = () => 1`) // the longest delays that jitter can give
			s.stop()
			p.until(`kw.state.phase === 'waiting' && kw.state.until - Date.now() > 6000`)
			p.eval(`void (() => {
				const until = kw.state.until
				kw.addEventListener('state', () => { if (kw.state.phase === 'open') window.early = until - Date.now() })
			})()`)
			s.start()
			s.put("n", "2")
			way.wake(p)
			p.consecutive(2)
			if early := value[float64](p, "early"); early < 500 {
				t.Errorf("it reconnected %v ms before it would have", early)
			}
		})
	}
}

// online tells the page that the network is there, or gone, as the system does.
func (p *tab) online(there bool) {
	p.t.Helper()
	p.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		state := network.OverrideNetworkStateParams{Offline: !there, DownloadThroughput: -1, UploadThroughput: -1}
		_, err := cdp.Call(ctx, target, network.OverrideNetworkState, state)
		return err
	}))
	p.until(fmt.Sprintf("navigator.onLine === %t", there))
}
