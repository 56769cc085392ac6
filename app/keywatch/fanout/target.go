//go:build linux

package fanout

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// A target makes the requests of one kind of server.
type target struct {
	o *Options
	// addr and host are where watchers connect and what they call it.
	addr netip.AddrPort
	host string
}

func newTarget(o *Options) (*target, error) {
	address := o.Server
	if o.foreign() {
		address = o.SubURL
	}
	u, err := url.Parse(strings.NewReplacer("{key}", "k", "{n}", "0").Replace(address))
	if err != nil {
		return nil, err
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	tcp, err := net.ResolveTCPAddr("tcp4", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, err
	}
	ap := tcp.AddrPort()
	return &target{o: o, addr: netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), host: u.Host}, nil
}

// key returns the name of key number k, name the name of its own prefix or of
// itself, whichever watchers use.
func (t *target) key(k int) string {
	if t.o.ByPrefix {
		return t.name(k) + "v"
	}
	return t.name(k)
}

func (t *target) name(k int) string {
	name := t.o.Prefix + strconv.Itoa(k)
	if t.o.ByPrefix {
		name += "/"
	}
	return name
}

// subscribe returns the request of watcher n, whose first watch is of key k.
func (t *target) subscribe(n, k int, lastID []byte) []byte {
	path := "/v1/ws"
	switch {
	case t.o.foreign():
		u, _ := url.Parse(t.fill(t.o.SubURL, n, k))
		path = u.RequestURI()
	case t.o.Transport == SSE && t.o.ByPrefix:
		path = "/v1/watch?state=0&prefix=" + url.QueryEscape(t.name(k))
	case t.o.Transport == SSE:
		path = "/v1/watch?state=0&key=" + url.QueryEscape(t.name(k))
	}
	b := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: keywatch-bench\r\n", path, t.host)
	if t.o.Transport == WebSocket {
		b = append(b, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"...)
		if !t.o.foreign() {
			b = append(b, "Sec-WebSocket-Protocol: keywatch.v1.json\r\n"...)
		}
	} else {
		b = append(b, "Accept: text/event-stream\r\nCache-Control: no-cache\r\n"...)
		if len(lastID) > 0 {
			b = fmt.Appendf(b, "Last-Event-ID: %s\r\n", lastID)
		}
	}
	for _, line := range t.o.SubHeaders {
		b = append(append(b, line...), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// watchOp appends the frame that starts watch number id of key k.
func (t *target) watchOp(b []byte, id, k int, lastID []byte) []byte {
	field := "keys"
	if t.o.ByPrefix {
		field = "prefixes"
	}
	body := fmt.Appendf(nil, `{"id":%d,"op":"watch","%s":[%q]`, id, field, t.name(k))
	if len(lastID) > 0 {
		body = fmt.Appendf(body, `,"since":%q}`, lastID)
	} else {
		body = append(body, `,"state":false}`...)
	}
	return appendClientFrame(b, opText, body)
}

func (t *target) fill(template string, n, k int) string {
	return strings.NewReplacer("{key}", url.PathEscape(t.key(k)), "{n}", strconv.Itoa(n)).Replace(template)
}

// A publication is one request that publishes.
type publication struct {
	method, url string
	body        []byte
}

// publish returns the request that gives keys k and those after it a value
// each.
func (t *target) publish(k int, values [][]byte) publication {
	if t.o.foreign() {
		body := strings.ReplaceAll(t.o.PubBody, "{value}", string(values[0]))
		return publication{t.o.PubMethod, t.fill(t.o.PubURL, 0, k), []byte(strings.ReplaceAll(body, "{key}", t.key(k)))}
	}
	base := strings.TrimSuffix(t.o.Server, "/")
	if t.o.Batch == 1 {
		return publication{"PUT", base + "/v1/kv/" + (&url.URL{Path: t.key(k)}).EscapedPath(), values[0]}
	}
	type op struct {
		Op    string `json:"op"`
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	ops := make([]op, len(values))
	for i, v := range values {
		ops[i] = op{"put", t.key(k + i), string(v)}
	}
	body, _ := json.Marshal(map[string]any{"ops": ops})
	return publication{"POST", base + "/v1/batch", body}
}
