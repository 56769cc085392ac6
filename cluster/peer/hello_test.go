package peer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/cluster/peer"
)

// dialRaw connects to a node as a stranger.
func dialRaw(t testing.TB, network *network, to *node) net.Conn {
	t.Helper()
	conn, err := network.dialer("stranger")(context.Background(), to.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// hello is what a right node 1 says to node 2.
func hello() peer.RawHello {
	return peer.RawHello{ID: 1, To: 2, Cluster: "c", Incarnation: 11, Min: 1, Max: 1, Kind: 1}
}

// say says hello by hand and returns what the other end says.
func say(t testing.TB, conn net.Conn, h peer.RawHello) error {
	t.Helper()
	if err := h.Say(conn); err != nil {
		t.Fatal(err)
	}
	_, err := peer.ReadHello(conn)
	return err
}

// If this failed, a node that does not belong here could connect, or would not learn why it
// cannot.
func TestHelloIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*peer.RawHello)
		want   error // nil for a hello that is accepted
	}{
		{"right", func(*peer.RawHello) {}, nil},
		{"no cluster yet", func(h *peer.RawHello) { h.Cluster = "" }, nil},
		{"later versions too", func(h *peer.RawHello) { h.Max = 9 }, nil},
		{"another cluster", func(h *peer.RawHello) { h.Cluster = "d" }, peer.ErrCluster},
		{"later versions only", func(h *peer.RawHello) { h.Min, h.Max = 3, 4 }, peer.ErrVersion},
		{"for another node", func(h *peer.RawHello) { h.To = 3 }, peer.ErrIdentity},
		{"the same id", func(h *peer.RawHello) { h.ID = 2 }, peer.ErrSelf},
		{"no id", func(h *peer.RawHello) { h.ID = 0 }, peer.ErrHello},
		{"not added", func(h *peer.RawHello) { h.ID = 4 }, peer.ErrUnknown},
		{"another group", func(h *peer.RawHello) { h.Group = 1 }, peer.ErrHello},
		{"another kind", func(h *peer.RawHello) { h.Kind = 4 }, peer.ErrHello},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *network) {
				b := join(t, network, 2, nil)
				_ = b.Add(1, "")
				h := hello()
				c.change(&h)
				err := say(t, dialRaw(t, network, b), h)
				var refused *peer.RefusedError
				if c.want == nil && err != nil || c.want != nil && (!errors.As(err, &refused) || !strings.Contains(refused.Text, c.want.Error())) {
					t.Fatalf("got %v, want %v", err, c.want)
				}
				synctest.Wait()
				if c.want != nil && (!b.logged(c.want.Error()) || b.Stats().Refused != 1) {
					t.Errorf("the log does not say %q, or %d are refused", c.want, b.Stats().Refused)
				}
				expect(t, b)
			})
		})
	}
}

// If this failed, an owner could not refuse a node, or would not know whom it refuses.
func TestOwnerRefuses(t *testing.T) {
	for _, refuser := range []peer.ID{1, 2} { // the end that dials, and the other
		t.Run(fmt.Sprint("refuser=", refuser), func(t *testing.T) {
			bubble(t, func(t *testing.T, network *network) {
				var heard []peer.Hello
				change := func(o *peer.Options) {
					o.Info = func() []byte { return []byte("info of node " + o.ID.String()) }
					if o.ID == refuser {
						o.Accept = func(h peer.Hello) error { heard = append(heard, h); return errors.New("wipe the folder first") }
					}
				}
				a, b := join(t, network, 1, change), join(t, network, 2, change)
				_ = b.Add(1, "")
				_ = a.Add(2, b.addr)
				pass(time.Second)
				for _, n := range []*node{a, b} {
					if !n.logged("wipe the folder first") {
						t.Errorf("node %d does not log why: %s", n.id, n.log.String())
					}
					expect(t, n)
				}
				other := map[peer.ID]*node{1: b, 2: a}[refuser]
				if len(heard) == 0 || heard[0].ID != other.id || heard[0].Cluster != "c" || heard[0].Incarnation != other.Incarnation() ||
					string(heard[0].Info) != "info of node "+other.id.String() || heard[0].Remote == "" {
					t.Errorf("the owner was given %+v", heard)
				}
			})
		})
	}
}

// If this failed, a node could not join by being asked about.
func TestAcceptAdds(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		var b *node
		a := join(t, network, 1, func(o *peer.Options) { o.Cluster = ""; o.Info = func() []byte { return []byte(place(1)) } })
		b = join(t, network, 2, func(o *peer.Options) {
			o.Accept = func(h peer.Hello) error { return b.Add(h.ID, string(h.Info)) }
		})
		_ = a.Add(2, b.addr)
		pass(time.Second)
		if !a.reachable(2) || !b.reachable(1) || b.stats(1).Addr != a.addr {
			t.Errorf("the node that was added is not connected: %+v", b.Stats())
		}
	})
}

// If this failed, two processes with one id, of a folder that was copied, would both take part, or end
// each other's connections for ever.
func TestSameIDTwice(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := join(t, network, 1, nil), join(t, network, 2, nil)
		add(t, a, b)
		pass(time.Second)
		network.set(func() { delete(network.listeners, b.addr) })
		twin := join(t, network, 2, func(o *peer.Options) { o.Listener = nil })
		_ = twin.Add(1, a.addr)
		pass(10 * time.Second)
		expect(t, a, "2 up")
		expect(t, twin)
		if !a.logged(peer.ErrDuplicate.Error()) || !twin.logged(peer.ErrDuplicate.Error()) {
			t.Error("the log does not say that there are two processes with one id")
		}
		b.close()
		pass(4 * time.Second)
		expect(t, a, "2 down", "2 up")
	})
}

// If this failed, a process that is gone could send a snapshot beside the one that is connected.
func TestStreamOfAnotherProcess(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a := join(t, network, 1, nil)
		b := join(t, network, 2, func(o *peer.Options) {
			o.ReceiveStream = func(context.Context, peer.ID, []byte, io.Reader) error { return errors.New("received") }
		})
		add(t, a, b)
		pass(time.Second)
		h := hello()
		h.Kind = 2
		refused(t, say(t, dialRaw(t, network, b), h), peer.ErrDuplicate.Error())
		h.Incarnation = a.Incarnation()
		if err := say(t, dialRaw(t, network, b), h); err != nil {
			t.Errorf("a stream of the process that is connected: %v", err)
		}
	})
}

// If this failed, a message of a process that is gone could reach Raft, which can end this one.
func TestOtherIncarnation(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		b := join(t, network, 2, nil)
		_ = b.Add(1, "")
		conn := dialRaw(t, network, b)
		if err := say(t, conn, hello()); err != nil {
			t.Fatal(err)
		}
		if err := peer.Welcome(conn); err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, conn)
		right, other := peer.NewSealer(11), peer.NewSealer(12)
		for _, s := range []*peer.Sealer{right, right, other, right} {
			_, _ = conn.Write(s.AppendFrame(nil, peer.Control, []byte("x"), 0))
			synctest.Wait()
		}
		expect(t, b, "1 up", `1 control "x"`, `1 control "x"`, "1 down")
	})
}

// If this failed, a peer could send what has no meaning, and something would be made of it.
func TestUnexpectedFrames(t *testing.T) {
	for name, b := range map[string][]byte{
		"a class of streams":    peer.NewSealer(11).AppendFrame(nil, 4, []byte("x"), 0),
		"an unknown class":      peer.NewSealer(11).AppendFrame(nil, 99, []byte("x"), 0),
		"control in two pieces": peer.NewSealer(11).AppendFrame(nil, peer.Control, []byte("x"), 1),
		"garbage":               []byte(strings.Repeat("garbage ", 100)),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *network) {
				b2 := join(t, network, 2, nil)
				_ = b2.Add(1, "")
				conn := dialRaw(t, network, b2)
				_ = say(t, conn, hello())
				_ = peer.Welcome(conn)
				go io.Copy(io.Discard, conn)
				_, _ = conn.Write(b)
				synctest.Wait()
				expect(t, b2, "1 up", "1 down")
			})
		})
	}
}

// If this failed, a stranger could hold connections and memory of this node.
func TestStrangers(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a := join(t, network, 1, nil)
		b := join(t, network, 2, func(o *peer.Options) { o.Handshakes = 4 })
		var conns []net.Conn
		for range 10 {
			conns = append(conns, dialRaw(t, network, b))
		}
		synctest.Wait()
		if s := b.Stats(); s.Handshakes != 4 || s.Refused != 6 || !b.logged(peer.ErrHandshakes.Error()) {
			t.Errorf("%d handshakes are under way, %d refused", s.Handshakes, s.Refused)
		}
		add(t, a, b)
		pass(time.Second)
		expect(t, a, "2 up") // strangers do not hold up a node that belongs here
		pass(3 * time.Second)
		if s := b.Stats(); s.Handshakes != 0 || s.Refused != 10 {
			t.Errorf("after the time for a hello %d handshakes are under way, %d refused", s.Handshakes, s.Refused)
		}
		for i, conn := range conns {
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Errorf("stranger %d was told something", i)
			}
		}
	})
}

// If this failed, an operator would not know which bound ended a connection.
func TestStrangerIsToldApart(t *testing.T) {
	for _, c := range []struct {
		name string
		say  []byte
		want error
	}{
		{"silence", nil, peer.ErrHelloTimeout},
		{"half a hello", []byte("kwpr\x01\x00\x00\x20abcd"), peer.ErrHelloTimeout},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), peer.ErrHello},
		{"a hello too large", []byte("kwpr\x01\xff\xff\xffabcd"), peer.ErrHello},
		{"a damaged hello", []byte("kwpr\x01\x00\x00\x04abcdefgh"), peer.ErrHello},
		{"a short hello", []byte("kwpr\x01\x00\x00\x00\x00\x00\x00\x00"), peer.ErrHello},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *network) {
				b := join(t, network, 2, nil)
				conn := dialRaw(t, network, b)
				if c.say != nil {
					_, _ = conn.Write(c.say)
				}
				pass(4 * time.Second)
				if !b.logged(c.want.Error()) {
					t.Errorf("the log says %s, want %v", b.log.String(), c.want)
				}
				if s := b.Stats(); s.Handshakes != 0 || s.Refused != 1 {
					t.Errorf("%d handshakes are under way, %d refused", s.Handshakes, s.Refused)
				}
			})
		})
	}
}
