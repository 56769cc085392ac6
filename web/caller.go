package web

import (
	"net/netip"
	"strings"

	"keywatch/auth"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// findCaller finds out for whom the request counts: the peer or, where the
// peer is a trusted proxy, who it says it speaks for.
func (r *request) findCaller() {
	if len(r.caller) > 0 {
		return
	}
	ip := r.peer()
	if r.head.has(fieldForwardedFor) && r.s.trusts(ip) {
		ip = r.s.forwarded(borrow(r.head.get(fieldForwardedFor)), ip)
	}
	r.caller = ip.AppendTo(r.caller[:0])
	r.exempt = ip.IsLoopback() && !r.s.opts.RateLoopback
}

// peer returns the address of the other end of the connection.
func (r *request) peer() netip.Addr {
	if own := r.connection(); own != nil {
		if n, ok := own.Conn.(*session); ok {
			return n.remote.Addr().Unmap()
		}
	}
	ip, _ := netip.AddrFromSlice(r.f.RemoteIP())
	return ip.Unmap()
}

// callerName returns the caller's address as text.
func (r *request) callerName() []byte {
	r.findCaller()
	return r.caller
}

func (s *Server) trusts(ip netip.Addr) bool {
	for _, prefix := range s.settings.Load().trusted {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// forwarded walks a list of addresses from the nearest on, as long as it was
// written by trusted proxies.
func (s *Server) forwarded(list string, peer netip.Addr) netip.Addr {
	for list != "" {
		i := strings.LastIndexByte(list, ',')
		ip, err := netip.ParseAddr(strings.Trim(list[i+1:], " \t"))
		if err != nil {
			return peer
		}
		peer = ip.Unmap()
		if i < 0 || !s.trusts(peer) {
			return peer
		}
		list = list[:i]
	}
	return peer
}

// loopback reports what most requests are found exempt by, before it is known
// who calls.
func (r *request) loopback() bool {
	return !r.s.opts.RateLoopback && !r.head.has(fieldForwardedFor) && r.peer().IsLoopback()
}

// charge counts the request against its caller's rate.
func (r *request) charge(class ratelimit.Class, cost int) error {
	limiter := r.s.opts.Limiter
	if limiter == nil || r.who == nil && r.loopback() {
		return nil
	}
	r.findCaller()
	name := borrow(r.caller)
	if r.who != nil && r.who.Kind() != auth.Anonymous {
		name = r.who.ID().String()
	} else if r.who == nil && r.exempt {
		return nil
	}
	d := r.allow(name, class, cost)
	if d.Limit == 0 {
		return nil
	}
	r.header(nameRateLimit, lend(d.Field(class)))
	r.header(namePolicy, lend(limiter.Policy(class)))
	if d.OK {
		return nil
	}
	return api.RateLimited(d, class)
}

// allow asks the limiter, unless an event loop has for this request: it was handed over then.
func (r *request) allow(name string, class ratelimit.Class, cost int) ratelimit.Decision {
	own := r.connection()
	if own != nil && own.seldom().paid != nil {
		d := *own.rare.paid
		own.rare.paid = nil
		return d
	}
	d := r.s.opts.Limiter.Allow(name, class, cost)
	if r.prompt {
		r.fast.paid = d
	}
	return d
}

var (
	nameRateLimit = []byte(ratelimit.HeaderRateLimit)
	namePolicy    = []byte(ratelimit.HeaderPolicy)
)
