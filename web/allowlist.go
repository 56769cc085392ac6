package web

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// An allowList is a set of host names or of origins. An entry may stand for many: "*" for
// all, "*.example.com" for every name below example.com, but not for itself.
type allowList struct {
	exact map[string]bool
	below []below
	any   bool
}

// A below stands for every name that begins and ends so and has something between.
type below struct{ begin, end string }

// allows reports whether the list has name, which need not be in lower case.
func (l *allowList) allows(name []byte) bool {
	if l.any || l.exact[borrow(name)] {
		return true
	}
	lower := strings.ToLower(borrow(name))
	return l.exact[lower] || slices.ContainsFunc(l.below, func(b below) bool {
		return len(lower) > len(b.begin)+len(b.end) && strings.HasPrefix(lower, b.begin) && strings.HasSuffix(lower, b.end)
	})
}

// add adds what may begin with an asterisk behind begin.
func (l *allowList) add(begin, rest string) {
	begin, rest = strings.ToLower(begin), strings.ToLower(rest)
	if end, ok := strings.CutPrefix(rest, "*"); ok {
		l.below = append(l.below, below{begin, end})
		return
	}
	l.exact[begin+rest] = true
}

// addHost adds an entry of Options.AllowHost; it reports false for one that can match
// nothing.
func (l *allowList) addHost(host string) bool {
	if host == "*" {
		l.any = true
		return true
	}
	if strings.HasPrefix(host, ".") {
		host = "*" + host
	}
	host = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), ".")
	if !isPattern(host) {
		return false
	}
	l.add("", host)
	return true
}

// addOrigin adds an entry of Options.AllowOrigin; it reports false for one that can match
// nothing.
func (l *allowList) addOrigin(origin string) bool {
	if origin == "*" {
		l.any = true
		return true
	}
	scheme, host, _ := strings.Cut(origin, "://")
	one := strings.Replace(origin, "://*.", "://", 1)
	u, err := url.Parse(one)
	if err != nil || u.Scheme == "" || u.Scheme+"://"+u.Host != one || !isPattern(u.Hostname()) {
		return false
	}
	l.add(scheme+"://", host)
	return true
}

// isPattern reports whether name is a host name, an address, or "*." before a name.
func isPattern(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	name = strings.TrimPrefix(name, "*.")
	return name != "" && !strings.ContainsAny(name, "/@ *:[]") && !strings.HasPrefix(name, ".")
}
