package resp

import (
	"net/netip"
)

// An address is that of one end of a connection, in the smallest form. Zones are not kept.
type address struct {
	ip   [16]byte
	port uint16
}

// addressOf returns the address that a net.Addr has as text; the zero address where it has none.
func addressOf(text string) address {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return address{}
	}
	return address{at.Addr().As16(), at.Port()}
}

// addr returns the address without the port.
func (a address) addr() netip.Addr { return netip.AddrFrom16(a.ip).Unmap() }

// String returns host and port.
func (a address) String() string { return netip.AddrPortFrom(a.addr(), a.port).String() }

// MarshalText implements encoding.TextMarshaler, for logs.
func (a address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
