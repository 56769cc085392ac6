package peer_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/cluster/peer"
)

// If this failed, beats would wait behind a large append on a slow network, and a healthy leader
// would be deposed.
func TestControlPassesAppend(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		network.rate = 1 << 20
		a, b := join(t, network, 1, nil), join(t, network, 2, nil)
		add(t, a, b)
		pass(2 * time.Second)
		b.take()
		if !a.Send(2, peer.Append, make([]byte, 8<<20)) {
			t.Fatal("a large body was not queued")
		}
		for range 3 {
			pass(time.Second)
			a.Send(2, peer.Control, []byte("beat"))
			pass(250 * time.Millisecond) // two pieces and what the network holds
			expect(t, b, `1 control "beat"`)
		}
		pass(8 * time.Second)
		expect(t, b, fmt.Sprintf("1 append %d bytes", 8<<20))
	})
}

// If this failed, entries would never arrive where much is urgent.
func TestControlLeavesRoomForAppend(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		network.rate = 1 << 20
		a := join(t, network, 1, nil)
		b := join(t, network, 2, func(o *peer.Options) {
			o.Receive = func(_ peer.ID, class peer.Class, _ []byte) { o.Logger.Info(class.String()) }
		})
		add(t, a, b)
		pass(2 * time.Second)
		a.Send(2, peer.Append, make([]byte, 1<<20))
		for began := time.Now(); time.Since(began) < 4*time.Second; pass(10 * time.Millisecond) {
			for a.Send(2, peer.Control, make([]byte, 4000)) {
			}
		}
		if !b.logged("msg=append") {
			t.Error("a large body did not arrive in 4 s, at 1 MiB/s")
		}
	})
}

// If this failed, a peer that does not read could make this node hold any amount, or would be kept.
func TestPeerDoesNotRead(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		hold := make(chan struct{})
		a := join(t, network, 1, func(o *peer.Options) { o.AppendQueue, o.ControlQueue = 1<<20, 64<<10 })
		b := join(t, network, 2, func(o *peer.Options) {
			o.Receive = func(peer.ID, peer.Class, []byte) { <-hold }
		})
		defer close(hold)
		add(t, a, b)
		pass(time.Second)
		var sent, beats int
		for range 1000 {
			if a.Send(2, peer.Append, make([]byte, 96<<10)) {
				sent++
			}
			if a.Send(2, peer.Control, make([]byte, 1000)) {
				beats++
			}
		}
		pass(time.Millisecond)
		s := a.stats(2)
		if s.Append.Queued > 1<<20 || s.Control.Queued > 64<<10 {
			t.Errorf("%d and %d bytes wait", s.Append.Queued, s.Control.Queued)
		}
		if sent < 10 || sent > 15 || int(s.Append.Dropped) != 1000-sent || beats < 50 || beats > 130 /* the queue, and what is handed over at once */ || int(s.Control.Dropped) != 1000-beats {
			t.Errorf("%d and %d of 1000 were queued, %d and %d dropped", sent, beats, s.Append.Dropped, s.Control.Dropped)
		}
		pass(4 * time.Second)
		if told := a.take(); !slices.Contains(told, "2 down") || !a.logged(peer.ErrStuck.Error()) {
			t.Errorf("after 4 s: the owner was told %q", told)
		}
		if s = a.stats(2); s.Append.Queued != 0 || s.Append.Sent+s.Append.Dropped != 1000 {
			t.Errorf("%d bytes wait for a connection that has ended; %d sent, %d dropped", s.Append.Queued, s.Append.Sent, s.Append.Dropped)
		}
	})
}

// If this failed, what arrives of a class would have a gap in the middle, or another order.
func TestOrderWhenFull(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		network.rate = 1 << 20
		var got []byte
		a := join(t, network, 1, func(o *peer.Options) { o.AppendQueue = 300 << 10 })
		b := join(t, network, 2, func(o *peer.Options) {
			o.Receive = func(_ peer.ID, _ peer.Class, body []byte) { got = append(got, body[0]) }
		})
		add(t, a, b)
		pass(2 * time.Second)
		var want []byte
		for i := range 100 {
			body := make([]byte, 100<<10)
			if body[0] = byte(i); a.Send(2, peer.Append, body) {
				want = append(want, byte(i))
			}
			pass(50 * time.Millisecond)
		}
		pass(5 * time.Second)
		if !bytes.Equal(got, want) || len(want) == 100 {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// If this failed, a frame that is too large would be sent, and the receiver would end the connection.
func TestTooLargeToSend(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := join(t, network, 1, func(o *peer.Options) { o.MaxFrame = 1 << 20 }), join(t, network, 2, nil)
		add(t, a, b)
		pass(time.Second)
		if a.Send(2, peer.Append, make([]byte, 1<<20+1)) || a.Send(2, peer.Control, make([]byte, 64<<10+1)) {
			t.Error("a frame that is too large was queued")
		}
		if !a.logged("too large") || !a.reachable(2) {
			t.Error("the log does not say that a frame was too large")
		}
		if !a.Send(2, peer.Control, make([]byte, 64<<10)) {
			t.Error("a control frame of the largest size was not queued")
		}
		synctest.Wait()
		if !a.Send(2, peer.Append, make([]byte, 1<<20)) {
			t.Error("a frame of the largest size was not queued")
		}
		synctest.Wait()
		expect(t, b, "1 up", "1 control 65536 bytes", "1 append 1048576 bytes")
	})
}

// If this failed, a peer could have more memory allocated than is allowed.
func TestTooLargeToReceive(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := join(t, network, 1, nil), join(t, network, 2, func(o *peer.Options) { o.MaxFrame = 1000 })
		add(t, a, b)
		pass(time.Second)
		a.Send(2, peer.Append, make([]byte, 1001))
		pass(time.Millisecond)
		expect(t, b, "1 up", "1 down")
		if !b.logged(peer.ErrFrameSize.Error()) {
			t.Error("the log does not name the limit")
		}
	})
}

// If this failed, a damaged frame would be delivered, or what came after it.
func TestDamageOnTheWay(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := join(t, network, 1, nil), join(t, network, 2, nil)
		add(t, a, b)
		pass(time.Second)
		network.set(func() {
			network.damage = func(_, _ string, b []byte) {
				if i := bytes.Index(b, []byte("damage me")); i >= 0 {
					b[i] ^= 1
				}
			}
		})
		for _, body := range []string{"before", "damage me", "after"} {
			a.Send(2, peer.Append, []byte(body))
			synctest.Wait()
		}
		pass(time.Millisecond)
		expect(t, b, "1 up", `1 append "before"`, "1 down")
		if err := fmt.Sprint(b.stats(1).Err); !strings.Contains(err, peer.ErrFrame.Error()) {
			t.Errorf("the figures say %q", err)
		}
		pass(3 * time.Second)
		expect(t, b, "1 up")
	})
}

// If this failed, the figures that operators see would be wrong.
func TestStats(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := join(t, network, 1, nil), join(t, network, 2, nil)
		began := time.Now()
		add(t, a, b)
		pass(time.Second)
		a.Send(2, peer.Control, make([]byte, 10))
		a.Send(2, peer.Append, make([]byte, 100))
		a.Send(2, peer.Append, make([]byte, 1000))
		synctest.Wait()
		s, r := a.stats(2), b.stats(1)
		if s.Control != (peer.ClassStats{Sent: 1, SentBytes: 10}) || s.Append != (peer.ClassStats{Sent: 2, SentBytes: 1100}) {
			t.Errorf("sender has %+v and %+v", s.Control, s.Append)
		}
		if r.Control != (peer.ClassStats{Received: 1, ReceivedBytes: 10}) || r.Append != (peer.ClassStats{Received: 2, ReceivedBytes: 1100}) {
			t.Errorf("receiver has %+v and %+v", r.Control, r.Append)
		}
		if s.Connects != 1 || s.Since != began || s.Err != nil || s.Addr != b.addr {
			t.Errorf("sender has %+v", s)
		}
		pass(time.Second)
		b.close()
		synctest.Wait()
		a.Send(2, peer.Control, nil)
		if s = a.stats(2); s.Reachable || s.Since != time.Now() || s.Control.Dropped != 1 || s.Err == nil {
			t.Errorf("sender has %+v", s)
		}
	})
}
