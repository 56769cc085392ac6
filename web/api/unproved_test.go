package api_test

import (
	"errors"
	"net/netip"
	"testing"

	"keywatch/web/api"
)

// If this failed, one host could take all the room there is for connections that prove nothing, or
// keep it after they have ended.
func TestUnproved(t *testing.T) {
	var u api.Unproved
	one, same, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("192.0.2.1")
	for range api.UnprovedPerAddress {
		if err := u.Enter(one); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Enter(same); !errors.Is(err, api.ErrTooManyStreams) {
		t.Errorf("another address of a full /64: got %v, want %v", err, api.ErrTooManyStreams)
	}
	if err := u.Enter(other); err != nil {
		t.Errorf("another host: got %v", err)
	}
	u.Leave(one)
	if err := u.Enter(same); err != nil {
		t.Errorf("after one has left: got %v", err)
	}
	for i := u.Len(); i < api.UnprovedMax; i++ {
		if err := u.Enter(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Enter(netip.MustParseAddr("198.51.100.1")); !errors.Is(err, api.ErrTooManyStreams) {
		t.Errorf("beyond all: got %v, want %v", err, api.ErrTooManyStreams)
	}
}
