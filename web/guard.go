package web

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"keywatch/web/api"
)

// A guard decides who may come in: by the Host that a request names, so that a
// name that an attacker controls cannot lead a browser here (DNS rebinding),
// and by the Origin of the page that sent it.
type guard struct {
	hosts, origins allowList
	team           *team // whose URLs are this server's own
}

func newGuard(opts Options) (guard, error) {
	g := guard{
		hosts:   allowList{exact: map[string]bool{"localhost": true}},
		origins: allowList{exact: map[string]bool{}},
	}
	for _, address := range opts.Listen {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return g, fmt.Errorf("listen address: %w", err)
		}
		g.hosts.add("", strings.TrimSuffix(host, "."))
	}
	for _, host := range opts.AllowHost {
		if !g.hosts.addHost(host) {
			return g, fmt.Errorf("allowed host %q: expected a host name without port, *.DOMAIN or *", host)
		}
	}
	for _, origin := range opts.AllowOrigin {
		if !g.origins.addOrigin(origin) {
			return g, fmt.Errorf("allowed origin %q: expected SCHEME://HOST[:PORT], SCHEME://*.DOMAIN[:PORT] or *", origin)
		}
	}
	return g, nil
}

// allowsHost reports whether a request may name host, which may have a port. Every address may
// be named: a browser sends one only to a page that was loaded from it, so that no name of an
// attacker is behind it. The unspecified address is none.
func (g *guard) allowsHost(host []byte) bool {
	name, ok := hostName(host)
	if !ok {
		return false
	}
	name = bytes.TrimSuffix(name, []byte{'.'}) // a name from the root of the DNS on
	if g.hosts.allows(name) || g.team.now().hosts[strings.ToLower(borrow(name))] {
		return true
	}
	ip, err := netip.ParseAddr(borrow(name))
	return err == nil && !ip.Unmap().IsUnspecified()
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

// ownSchemes are those of the server's own pages. In clear text it may be behind a proxy that speaks
// TLS; over TLS only the last is its own.
var ownSchemes = [...]struct{ begin, port string }{{"http://", ":80"}, {"https://", ":443"}}

// allowsOrigin reports whether a page of origin may use the server that it
// reached as host, over TLS or in clear text.
func (g *guard) allowsOrigin(origin, host []byte, overTLS bool) bool {
	schemes := ownSchemes[:]
	if overTLS {
		schemes = schemes[1:]
	}
	for _, scheme := range schemes {
		own, ok := bytes.CutPrefix(origin, []byte(scheme.begin))
		if ok && bytes.EqualFold(bytes.TrimSuffix(own, []byte(scheme.port)), bytes.TrimSuffix(host, []byte(scheme.port))) {
			return true
		}
	}
	return g.origins.allows(origin) || g.team.now().origins[strings.ToLower(string(origin))]
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
	valueExposeAuth   = append([]byte("WWW-Authenticate, "), valueExpose...)
	valueAllowHeaders = []byte("If-Match, If-None-Match, If-Fence, Idempotency-Key, Authorization, Traceparent, Content-Type, Cache-Control, Last-Event-ID, X-Requested-With")
	valueMaxAge       = []byte("600")
)

// admit refuses what must not come in, whatever it asks for.
func (r *request) admit() error {
	host := r.f.Request.Header.Host()
	if !r.probes() && !r.s.settings.Load().guard.allowsHost(host) {
		return api.Refuse(api.CodeHostNotAllowed, "host %.80q is not allowed; to allow it start the server with --allow-host", host)
	}
	if r.authority != nil && !bytes.EqualFold(r.authority, host) {
		return api.Refuse(api.CodeHostNotAllowed, "the request target names another host than the Host header")
	}
	if r.head.has(fieldOrigin) {
		return r.admitOrigin(r.head.get(fieldOrigin), host)
	}
	if string(r.head.get(fieldFetchSite)) == "cross-site" && string(r.head.get(fieldFetchMode)) == "no-cors" {
		// Another site's page, in a form that sends no Origin: an image, a script.
		return api.Refuse(api.CodeOriginNotAllowed, "pages of another site cannot embed answers of this server")
	}
	return nil
}

// probes reports whether the request asks for what a load balancer, kubelet or Prometheus asks
// for: by HTTP/1.0 without a Host, by an address, or by the name of a service. Nothing there
// changes anything or shows a key.
func (r *request) probes() bool {
	return r.route == routeHealth || r.route == routeReady || r.route == routeMetrics
}

// brief reports whether the request takes little time and, unless its body or answer is
// large, little memory.
func (r *request) brief() bool {
	switch r.route {
	case routeKey, routeKeys, routeCAS, routeAdd, routeTouch, routeBatch, routeLeases, routeLease, routeLeaseKeep, routeLockKeep:
		return true
	case routeLock:
		return r.method != methodPost
	}
	return false
}

// unhurried fails on a spare connection, which is for what is brief.
func (r *request) unhurried() error {
	if own := r.connection(); own != nil && own.short != nil {
		return own.short
	}
	return nil
}

// admitOrigin refuses requests of pages that may not use the server. The files
// of the dashboard are given to all: they are the same for everyone, and without
// the headers below a browser does not give them to a page of another origin.
// Behind a proxy that changes Host the dashboard then loads and shows what to do,
// where it would be blank otherwise.
func (r *request) admitOrigin(origin, host []byte) error {
	if r.head.twice(fieldOrigin) || !r.s.settings.Load().guard.allowsOrigin(origin, host, r.overTLS()) {
		if r.route == routePage && r.method&(methodGet|methodHead) != 0 {
			return nil
		}
		return api.Refuse(api.CodeOriginNotAllowed, "origin %.80q is not allowed; to allow it start the server with --allow-origin", origin)
	}
	r.header(nameAllowOrigin, origin)
	if r.s.door.Table() != nil { // its cookies are for its own pages, and not for others as those of a proxy
		r.header(nameExpose, valueExposeAuth)
		return nil
	}
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

// first reports whether the request is the first of its connection.
func (r *request) first() bool {
	own := r.connection()
	if own == nil {
		return r.f.ConnRequestNum() == 1
	}
	first := !own.served
	own.served = true
	return first
}

// serving refuses requests while the server is not ready for them. How it
// feels can be asked at any time.
func (r *request) serving() error {
	var over *api.Failure
	if r.first() {
		over = r.s.conns.over()
	}
	if over != nil {
		r.f.SetConnectionClose()
	}
	own := r.connection()
	if own != nil && own.short != nil {
		r.f.SetConnectionClose()
		if r.probes() || r.route == routeStatus {
			return nil
		}
		if !r.brief() {
			r.s.conns.refused.Add(1)
			return own.short
		}
	}
	if r.probes() {
		return nil
	}
	if over != nil {
		r.s.conns.refused.Add(1)
		return over
	}
	if r.s.stopping.Load() {
		r.f.SetConnectionClose()
		return errStopping
	}
	if r.s.leaving.Load() {
		r.f.SetConnectionClose()
	}
	switch r.route {
	case routeStatus, routeOpenAPI, routePage, routeCluster, routePromote, routeRemove, routeTransfer:
		return nil
	}
	return r.s.opts.serves()
}
