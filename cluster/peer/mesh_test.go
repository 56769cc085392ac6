package peer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/cluster/peer"
)

// If this failed, servers of a cluster would not talk to each other, or out of order.
func TestThreeNodesTalk(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		nodes := []*node{join(t, network, 1, nil), join(t, network, 2, nil), join(t, network, 3, nil)}
		add(t, nodes...)
		pass(time.Second)
		for _, n := range nodes {
			n.take()
		}
		for i := range 3 {
			for _, n := range nodes {
				for _, o := range nodes {
					if o != n && !n.Send(o.id, peer.Append, fmt.Appendf(nil, "%d", i)) {
						t.Errorf("node %d cannot send to %d", n.id, o.id)
					}
				}
			}
		}
		synctest.Wait()
		for _, n := range nodes {
			got := n.take()
			slices.SortStableFunc(got, func(a, b string) int { return strings.Compare(a[:1], b[:1]) })
			var want []string
			for _, o := range nodes {
				for i := range 3 {
					if o != n {
						want = append(want, fmt.Sprintf(`%d append "%d"`, o.id, i))
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("node %d was told %q, want %q", n.id, got, want)
			}
		}
	})
}

// If this failed, there would be two connections between two nodes, or they would end each other for ever.
func TestBothDialAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		network.latency = 300 * time.Millisecond // more than the higher id waits
		a, b := join(t, network, 1, nil), join(t, network, 2, nil)
		add(t, a, b)
		pass(20 * time.Second)
		if network.dialed(a.addr, b.addr) == 0 || network.dialed(b.addr, a.addr) == 0 {
			t.Fatal("one of the nodes did not dial: the test shows nothing")
		}
		dials := network.dialed(a.addr, b.addr) + network.dialed(b.addr, a.addr)
		connects := a.stats(2).Connects
		pass(time.Minute)
		if more := network.dialed(a.addr, b.addr) + network.dialed(b.addr, a.addr); more != dials {
			t.Errorf("%d more dials in a minute", more-dials)
		}
		if more := a.stats(2).Connects; more != connects || !a.reachable(2) || !b.reachable(1) {
			t.Errorf("connected %d times, then %d", connects, more)
		}
		if !a.logged("dialed=true") || !b.logged("dialed=false") {
			t.Error("the connection that the lower id dialled was never there")
		}
		a.take()
		b.Send(1, peer.Control, []byte("x"))
		pass(time.Second)
		expect(t, a, `2 control "x"`)
	})
}

// If this failed, a node behind a one-way firewall could not be part of a cluster, whichever end
// can dial.
func TestOneEndDials(t *testing.T) {
	for _, dialler := range []peer.ID{1, 2} {
		t.Run(fmt.Sprint("dialler=", dialler), func(t *testing.T) {
			bubble(t, func(t *testing.T, network *network) {
				a, b := join(t, network, 1, nil), join(t, network, 2, nil)
				if dialler == 1 {
					_ = b.Add(1, "")
					_ = a.Add(2, b.addr)
				} else {
					_ = a.Add(2, "")
					_ = b.Add(1, a.addr)
				}
				pass(time.Second)
				if !a.reachable(2) || !b.reachable(1) {
					t.Error("the nodes are not connected")
				}
			})
		})
	}
}

// If this failed, a server that starts again would be unreachable, or what was sent to the process
// before would reach the one after.
func TestRestart(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := join(t, network, 1, nil), join(t, network, 2, nil)
		add(t, a, b)
		pass(time.Second)
		expect(t, a, "2 up")
		b.close()
		pass(time.Second)
		expect(t, a, "2 down")
		if a.Send(2, peer.Append, []byte("lost")) {
			t.Error("a frame for a node that is gone was queued")
		}
		b = join(t, network, 2, nil)
		_ = b.Add(1, a.addr)
		pass(3 * time.Second)
		expect(t, a, "2 up")
		if !a.Send(2, peer.Append, []byte("new")) {
			t.Error("a frame for a node that is there again was not queued")
		}
		synctest.Wait()
		expect(t, b, "1 up", `1 append "new"`)
	})
}

// If this failed, frames would be sent into nothing after a cable was pulled, and the node would
// count as reachable.
func TestHalfOpen(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := join(t, network, 1, nil), join(t, network, 2, nil)
		add(t, a, b)
		pass(1500 * time.Millisecond) // the last ping was half a second ago
		network.isolate(a.addr, b.addr, true)
		pass(2400 * time.Millisecond)
		if !a.reachable(2) {
			t.Error("given up too soon")
		}
		pass(1200 * time.Millisecond)
		expect(t, a, "2 up", "2 down")
		expect(t, b, "1 up", "1 down")
		if err := a.stats(2).Err; err == nil {
			t.Error("the figures do not say why node 2 is not reachable")
		}
		network.isolate(a.addr, b.addr, false)
		pass(4 * time.Second)
		expect(t, a, "2 up")
		expect(t, b, "1 up")
	})
}

// If this failed, a connection of which one way is dead would stay.
func TestOneWayCut(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := join(t, network, 1, nil), join(t, network, 2, nil)
		add(t, a, b)
		pass(time.Second)
		network.set(func() { network.cut[a.addr+">"+b.addr] = true })
		pass(4 * time.Second)
		if a.reachable(2) || b.reachable(1) {
			t.Errorf("reachable after 4 s: %v and %v", a.reachable(2), b.reachable(1))
		}
	})
}

// If this failed, a removed node would stay connected, or one that was added again would not be told of
// in order.
func TestRemove(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := join(t, network, 1, nil), join(t, network, 2, nil)
		add(t, a, b)
		pass(time.Second)
		a.Remove(2)
		a.Remove(2)
		pass(5 * time.Second)
		expect(t, a, "2 up", "2 down")
		if a.Send(2, peer.Control, nil) {
			t.Error("a frame for a removed node was queued")
		}
		if !b.logged("not known here") {
			t.Error("the removed node was not told why")
		}
		if err := a.Add(2, b.addr); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		expect(t, a, "2 up")
	})
}

// If this failed, a node that was added again while its last callback runs would be told of twice
// at a time.
func TestAddDuringCallback(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		leave := make(chan struct{})
		var a *node
		a = join(t, network, 1, func(o *peer.Options) {
			o.Unreachable = func(peer.ID) { <-leave; a.tell("2 down") }
		})
		b := join(t, network, 2, nil)
		add(t, a, b)
		pass(time.Second)
		for range 3 {
			a.Remove(2)
			_ = a.Add(2, b.addr)
			pass(time.Second)
		}
		expect(t, a, "2 up")
		close(leave)
		pass(3 * time.Second)
		expect(t, a, "2 down", "2 up")
	})
}

// If this failed, a node could not move to another address.
func TestNewAddress(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a := join(t, network, 1, nil)
		_ = a.Add(2, "nowhere:1")
		b := join(t, network, 2, nil)
		_ = b.Add(1, "")
		pass(5 * time.Second)
		if a.reachable(2) {
			t.Fatal("connected without an address")
		}
		_ = a.Add(2, b.addr)
		pass(3 * time.Second)
		expect(t, a, "2 up")
	})
}

// If this failed, the owner could not end the mesh, or something would be left of it. That nothing
// is left synctest checks.
func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := join(t, network, 1, nil), join(t, network, 2, nil)
		add(t, a, b)
		_ = a.Add(3, "nowhere:1")
		pass(time.Second)
		a.close()
		a.close()
		expect(t, a, "2 up", "2 down")
		if err := a.Add(4, "x"); err == nil {
			t.Error("a node was added to a closed mesh")
		}
		if a.Send(2, peer.Control, nil) {
			t.Error("a closed mesh sends")
		}
	})
}

// If this failed, a node that is down would be dialled without a pause, or not for a long time.
func TestBackoff(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a := join(t, network, 1, nil)
		_ = a.Add(2, place(2))
		pass(time.Minute)
		before := network.dialed(a.addr, place(2))
		pass(time.Minute)
		if n := network.dialed(a.addr, place(2)) - before; n < 30 || n > 40 {
			t.Errorf("%d dials in a minute, want one in 1.6 to 2 s", n)
		}
		if before > 50 {
			t.Errorf("%d dials in the first minute", before)
		}
	})
}
