package sim

import (
	"bytes"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// mostInFlight is how many messages a network holds; more are lost.
const mostInFlight = 400

// A network carries messages as bytes: servers share no memory. A message on a link that is cut is
// lost when it would arrive.
type network struct {
	flight []packet
	cut    map[link]bool
	free   [][]byte
}

// A link is one way between two servers.
type link struct{ from, to uint64 }

// A packet is a message on its way. life is that of the sender's which has sent it.
type packet struct {
	link
	life int
	data []byte
	sent *raftpb.Message // nil unless messages are compared
	snap bool
}

func newNetwork() network { return network{cut: make(map[link]bool)} }

func (n *network) heal() { clear(n.cut) }

// buffer returns an empty buffer.
func (n *network) buffer() []byte {
	if last := len(n.free) - 1; last >= 0 {
		b := n.free[last]
		n.free = n.free[:last]
		return b[:0]
	}
	return nil
}

// release takes a buffer back and spoils it: who still reads it reads nonsense.
func (n *network) release(b []byte) {
	for i := range b {
		b[i] = 0xAA
	}
	n.free = append(n.free, b)
}

// Cut cuts the way from one server to another, and back if both.
func (c *Cluster) Cut(from, to uint64, both bool) {
	c.did("cut", from, to)
	c.net.cut[link{from, to}] = true
	if both {
		c.net.cut[link{to, from}] = true
	}
}

// Split cuts all ways between some servers and the others.
func (c *Cluster) Split(some ...uint64) {
	for _, id := range some {
		for _, n := range c.nodes {
			if !slices.Contains(some, n.ID) {
				c.Cut(id, n.ID, true)
			}
		}
	}
}

// Mend ends all cuts.
func (c *Cluster) Mend() {
	c.did("mend", 0, 0)
	c.net.heal()
}

// send takes messages of a server.
func (c *Cluster) send(n *Node, messages []*raftpb.Message) {
	for _, m := range messages {
		if n.withheld() && m.GetType() == raftpb.MsgHeartbeat {
			continue
		}
		data, err := proto.MarshalOptions{}.MarshalAppend(c.net.buffer(), m)
		if err != nil {
			c.fail("encode %v: %w", m.GetType(), err)
			return
		}
		p := packet{link: link{n.ID, m.GetTo()}, life: n.life, data: data, snap: m.GetType() == raftpb.MsgSnap}
		if c.opts.Compare {
			p.sent = m
		}
		c.net.flight = append(c.net.flight, p)
	}
	for len(c.net.flight) > mostInFlight {
		c.Drop(0)
	}
}

// take takes a packet out of the network.
func (c *Cluster) take(i int) packet {
	p := c.net.flight[i]
	c.net.flight = slices.Delete(c.net.flight, i, i+1)
	return p
}

// Drop loses a message on its way, and reports whether there was one.
func (c *Cluster) Drop(i int) bool {
	if i >= len(c.net.flight) {
		return false
	}
	p := c.take(i)
	c.Count[Drops]++
	c.did("lose", p.from, p.to)
	c.lose(p)
	return true
}

// lose forgets a packet. Who has sent a snapshot notices.
func (c *Cluster) lose(p packet) {
	c.net.release(p.data)
	c.report(p, false)
}

// report tells the sender of a snapshot what became of it.
func (c *Cluster) report(p packet, arrived bool) {
	if from := c.Node(p.from); p.snap && from.Up() && from.life == p.life {
		from.core.ReportSnapshot(p.to, arrived)
		from.ready()
	}
}

// Repeat has a message arrive twice, and reports whether there was one.
func (c *Cluster) Repeat(i int) bool {
	if i >= len(c.net.flight) || c.net.flight[i].snap {
		return false
	}
	p := c.net.flight[i]
	p.data = append(c.net.buffer(), p.data...)
	c.net.flight = append(c.net.flight, p)
	c.Count[Repeats]++
	c.did("repeat", p.from, p.to)
	return true
}

// Carry has a message arrive, and reports whether there was one. It is lost if its way is cut or
// its receiver is down.
func (c *Cluster) Carry(i int) bool {
	if i >= len(c.net.flight) {
		return false
	}
	p := c.take(i)
	to := c.Node(p.to)
	if c.net.cut[p.link] || !to.Up() {
		c.did("lose", p.from, p.to)
		c.lose(p)
		return true
	}
	m := new(raftpb.Message)
	if err := proto.Unmarshal(p.data, m); err != nil {
		c.fail("decode a message: %w", err)
		return false
	}
	c.did("carry", p.from, p.to)
	c.detail(func() string { return raft.DescribeMessage(m, nil) })
	c.compare(p)
	c.net.release(p.data)
	if p.snap {
		to.stage(p, m)
		return true
	}
	to.core.Step(m)
	to.ready()
	return true
}

// Pass has the oldest message from one server to another arrive, and reports whether there was one.
func (c *Cluster) Pass(from, to uint64) bool {
	i := slices.IndexFunc(c.net.flight, func(p packet) bool { return p.link == link{from, to} })
	return i >= 0 && c.Carry(i)
}

// compare reports a message that was changed after it was sent.
func (c *Cluster) compare(p packet) {
	if p.sent == nil {
		return
	}
	now, err := proto.Marshal(p.sent)
	if err != nil || !bytes.Equal(now, p.data) {
		c.fail("a message from %d to %d was changed on its way, to %v", p.from, p.to, p.sent)
	}
}
