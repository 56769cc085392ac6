package api

import (
	"net/netip"
	"sync"
)

// Bounds on connections whose callers have not proved yet who they are, and may do nothing before.
const (
	// UnprovedMax bounds them all, UnprovedPerAddress those from one address or /64 of IPv6: as many
	// as a pool of connections opens at once.
	UnprovedMax, UnprovedPerAddress = 1000, 256
)

// An Unproved counts those connections. It is safe for concurrent use; the zero Unproved is ready, and
// nil bounds nothing.
type Unproved struct {
	mu        sync.Mutex
	all       int
	byAddress map[netip.Addr]int
}

// host returns what an address counts as.
func host(ip netip.Addr) netip.Addr {
	if ip = ip.Unmap(); ip.Is6() {
		p, _ := ip.Prefix(64)
		return p.Addr()
	}
	return ip
}

// Enter counts a connection. It fails with ErrTooManyStreams.
func (u *Unproved) Enter(ip netip.Addr) error {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all >= UnprovedMax || u.byAddress[host(ip)] >= UnprovedPerAddress {
		return ErrTooManyStreams
	}
	if u.byAddress == nil {
		u.byAddress = make(map[netip.Addr]int)
	}
	u.all++
	u.byAddress[host(ip)]++
	return nil
}

// Leave undoes one Enter.
func (u *Unproved) Leave(ip netip.Addr) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all--
	if u.byAddress[host(ip)]--; u.byAddress[host(ip)] == 0 {
		delete(u.byAddress, host(ip))
	}
}

// Len returns how many there are.
func (u *Unproved) Len() int {
	if u == nil {
		return 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all
}
