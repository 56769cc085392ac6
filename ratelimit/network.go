package ratelimit

import "net/netip"

// Network returns the name of an address for limits on what one host may do: the address or, of IPv6, its /64,
// all of which one host may have.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Is4() {
		return address
	}
	p, _ := ip.Prefix(64)
	return p.String()
}
