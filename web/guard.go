package web

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"keywatch/web/api"
)

// A guard decides who may come in: by the Host that a request names, so that a
// name that an attacker controls cannot lead a browser here (DNS rebinding),
// and by the Origin of the page that sent it.
type guard struct {
	// hosts are the names allowed, in lower case and without a port.
	hosts map[string]bool
	// anyLocal allows the address at which a connection arrived.
	anyLocal bool
	origins  map[string]bool
}

func newGuard(opts Options) (guard, error) {
	g := guard{hosts: map[string]bool{"localhost": true, "127.0.0.1": true}, origins: map[string]bool{}}
	for _, address := range opts.Listen {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return g, fmt.Errorf("listen address: %w", err)
		}
		ip, err := netip.ParseAddr(host)
		if host == "" || err == nil && ip.IsUnspecified() {
			g.anyLocal = true
			continue
		}
		g.hosts[strings.ToLower(host)] = true
	}
	for _, host := range opts.AllowHost {
		if host == "" || strings.ContainsAny(host, "/@ ") {
			return g, fmt.Errorf("allowed host %q is not a host name", host)
		}
		g.hosts[strings.ToLower(strings.Trim(host, "[]"))] = true
	}
	for _, origin := range opts.AllowOrigin {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			return g, fmt.Errorf("allowed origin %q is not scheme://host[:port]", origin)
		}
		g.origins[strings.ToLower(origin)] = true
	}
	return g, nil
}

// allowsHost reports whether host, which may have a port, may be named by a
// connection that arrived at local.
func (g *guard) allowsHost(host []byte, local interface{ LocalAddr() net.Addr }) bool {
	name, ok := hostName(host)
	if !ok {
		return false
	}
	if g.hosts[borrow(name)] {
		return true
	}
	if ip, err := netip.ParseAddr(borrow(name)); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || g.anyLocal && sameIP(ip, local.LocalAddr())
	}
	return g.hosts[strings.ToLower(borrow(name))]
}

// hostName returns a Host without its port and brackets.
func hostName(host []byte) ([]byte, bool) {
	end := len(host)
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		for _, c := range host[i+1:] {
			if c < '0' || c > '9' {
				return nil, false
			}
		}
		end = i
	}
	name := host[:end]
	if len(name) > 1 && name[0] == '[' && name[len(name)-1] == ']' {
		return name[1 : len(name)-1], true
	}
	return name, len(name) > 0 && bytes.IndexByte(name, ':') < 0
}

func sameIP(ip netip.Addr, local net.Addr) bool {
	tcp, ok := local.(*net.TCPAddr)
	return ok && tcp.AddrPort().Addr().Unmap() == ip
}

// allowsOrigin reports whether a page of origin may use the server that it
// reached as host.
func (g *guard) allowsOrigin(origin, host []byte) bool {
	for _, scheme := range [...]struct{ begin, port string }{{"http://", ":80"}, {"https://", ":443"}} {
		own, ok := bytes.CutPrefix(origin, []byte(scheme.begin))
		if ok && bytes.EqualFold(bytes.TrimSuffix(own, []byte(scheme.port)), bytes.TrimSuffix(host, []byte(scheme.port))) {
			return true
		}
	}
	return g.origins[borrow(origin)] || g.origins[strings.ToLower(borrow(origin))]
}

// Values of the headers of cross-origin sharing.
var (
	nameAllowOrigin   = []byte("Access-Control-Allow-Origin")
	nameAllowCreds    = []byte("Access-Control-Allow-Credentials")
	nameExpose        = []byte("Access-Control-Expose-Headers")
	nameAllowMethods  = []byte("Access-Control-Allow-Methods")
	nameAllowHeaders  = []byte("Access-Control-Allow-Headers")
	nameMaxAge        = []byte("Access-Control-Max-Age")
	nameAllowPrivate  = []byte("Access-Control-Allow-Private-Network")
	valueExpose       = []byte("ETag, Location, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed, Keywatch-Position, Keywatch-Durability, Keywatch-Version, Keywatch-Create-Rev, Keywatch-TTL, Keywatch-Lease, Keywatch-Tier, Keywatch-Lag, Keywatch-Backup-Size")
	valueAllowHeaders = []byte("If-Match, If-None-Match, If-Fence, Idempotency-Key, Authorization, Content-Type, Cache-Control, Last-Event-ID")
	valueMaxAge       = []byte("600")
)

// admit refuses what must not come in, whatever it asks for.
func (r *request) admit() error {
	host := r.f.Request.Header.Host()
	if !r.s.guard.allowsHost(host, r.f) {
		return api.Refuse(api.CodeHostNotAllowed, "the host %.80q is not one of this server's; allow it with --allow-host", host)
	}
	if r.f.Request.Header.RequestURI()[0] != '/' && !bytes.EqualFold(r.f.URI().Host(), host) {
		return api.Refuse(api.CodeHostNotAllowed, "the request target names another host than the Host header")
	}
	if r.head.has(fieldOrigin) {
		return r.admitOrigin(r.head.get(fieldOrigin), host)
	}
	if string(r.head.get(fieldFetchSite)) == "cross-site" && string(r.head.get(fieldFetchMode)) == "no-cors" {
		// Another site's page, in a form that sends no Origin: an image, a script.
		return api.Refuse(api.CodeOriginNotAllowed, "pages of another site may not embed what is here")
	}
	return nil
}

// admitOrigin refuses requests of pages that may not use the server. The files
// of the dashboard are given to all: they are the same for everyone, and without
// the headers below a browser does not give them to a page of another origin.
// Behind a proxy that changes Host the dashboard then loads and shows what to do,
// where it would be blank otherwise.
func (r *request) admitOrigin(origin, host []byte) error {
	if r.head.twice(fieldOrigin) || !r.s.guard.allowsOrigin(origin, host) {
		if r.route == routePage && r.method&(methodGet|methodHead) != 0 {
			return nil
		}
		return api.Refuse(api.CodeOriginNotAllowed, "pages of %.80q may not use this server; allow them with --allow-origin", origin)
	}
	r.header(nameAllowOrigin, origin)
	r.header(nameAllowCreds, valueTrue)
	r.header(nameExpose, valueExpose)
	return nil
}

// options answers a preflight, or says which methods there are.
func (r *request) options() error {
	list := lend(allowed[r.route].String())
	r.f.Response.SetStatusCode(204)
	r.header(nameAllow, list)
	if !r.head.has(fieldOrigin) || !r.head.has(fieldPreflightMethod) {
		return nil
	}
	r.header(nameAllowMethods, list)
	r.header(nameAllowHeaders, valueAllowHeaders)
	r.header(nameMaxAge, valueMaxAge)
	if r.head.has(fieldPreflightPrivate) {
		r.header(nameAllowPrivate, valueTrue)
	}
	return nil
}

// serving refuses requests while the server is not ready for them. How it
// feels can be asked at any time.
func (r *request) serving() error {
	if r.s.conns.over() && r.f.ConnRequestNum() == 1 {
		r.f.SetConnectionClose()
		r.s.conns.refused.Add(1)
		return &api.Failure{Code: api.CodeTooManyConnections, Detail: "too many connections", Limit: r.s.conns.max}
	}
	if r.route == routeHealth || r.route == routeReady || r.route == routeMetrics {
		return nil
	}
	if r.s.stopping.Load() {
		r.f.SetConnectionClose()
		return &api.Failure{Code: api.CodeStopping, Detail: "the server is stopping"}
	}
	if r.route == routeStatus || r.route == routeOpenAPI || r.route == routePage {
		return nil
	}
	return r.s.opts.Ready()
}
