package peer_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"keywatch/cluster/peer"
	"keywatch/test/gate"
)

// A scene is three servers to which anything may happen. What they receive is judged as it comes.
type scene struct {
	t       *testing.T
	network *network
	random  *rand.Rand
	nodes   [4]*node // by id
	process [4]uint64
	sent    uint64

	mu       sync.Mutex
	up       [4][4]bool
	last     map[string]uint64
	received int
}

// start opens the next process of a server.
func (s *scene) start(id peer.ID) {
	s.process[id]++
	process := s.process[id]
	s.nodes[id] = join(s.t, s.network, id, func(o *peer.Options) {
		o.MaxFrame, o.AppendQueue = 1<<20, 1<<20
		o.Reachable = func(from peer.ID) { s.turn(id, from, true) }
		o.Unreachable = func(from peer.ID) { s.turn(id, from, false) }
		o.Receive = func(from peer.ID, class peer.Class, body []byte) { s.judge(id, process, from, class, body) }
	})
	for other := range s.nodes {
		s.add(id, peer.ID(other))
	}
}

func (s *scene) add(id, other peer.ID) {
	if other != 0 && other != id {
		if err := s.nodes[id].Add(other, place(other)); err != nil {
			s.t.Error(err)
		}
	}
}

// turn checks that a node is told of another one in turns.
func (s *scene) turn(at, of peer.ID, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.up[at][of] == up {
		s.t.Errorf("node %d is told twice that node %d is reachable: %v", at, of, up)
	}
	s.up[at][of] = up
}

// judge checks that a frame is whole, was meant for this process, and comes in its order.
func (s *scene) judge(at peer.ID, process uint64, from peer.ID, class peer.Class, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received++
	number, meant := binary.BigEndian.Uint64(body), binary.BigEndian.Uint64(body[8:])
	for _, b := range body[16:] {
		if b != byte(number) {
			s.t.Fatalf("frame %d was changed on its way", number)
		}
	}
	key := fmt.Sprint(at, from, class)
	if number <= s.last[key] {
		s.t.Errorf("node %d: %s frame %d of node %d after %d", at, class, number, from, s.last[key])
	}
	if s.last[key] = number; !s.up[at][from] {
		s.t.Errorf("node %d gets a frame of node %d, which is not reachable", at, from)
	}
	if meant != process {
		s.t.Errorf("node %d: a frame for process %d arrived at %d", at, meant, process)
	}
}

// send sends a frame that names its number and the receiver's process.
func (s *scene) send(from, to peer.ID) {
	s.sent++
	class, size := peer.Control, 16+s.random.IntN(100)
	if s.random.IntN(2) == 0 {
		class, size = peer.Append, 16+s.random.IntN(300<<10)
	}
	body := binary.BigEndian.AppendUint64(nil, s.sent)
	body = binary.BigEndian.AppendUint64(body, s.process[to])
	for len(body) < size {
		body = append(body, byte(s.sent))
	}
	s.nodes[from].Send(to, class, body)
}

// act does something at random.
func (s *scene) act() {
	from := peer.ID(1 + s.random.IntN(3))
	to := 1 + (from+peer.ID(s.random.IntN(2)))%3
	switch n := s.random.IntN(100); {
	case n < 70:
		s.send(from, to)
	case n < 74:
		s.nodes[from].close()
		s.start(from)
	case n < 78:
		s.nodes[from].Remove(to)
		s.add(from, to)
	case n < 80:
		s.network.set(func() { s.network.cut[place(from)+">"+place(to)] = true })
	case n < 90:
		s.heal()
	case n < 93:
		s.network.set(func() { s.network.latency = time.Duration(s.random.IntN(200)) * time.Millisecond })
	default:
		time.Sleep(time.Duration(s.random.IntN(2000)) * time.Millisecond)
	}
}

func (s *scene) heal() { s.network.set(func() { clear(s.network.cut) }) }

// If this failed, some order of failures would break a promise of the package, or leave servers
// apart for good.
func TestRandomFailures(t *testing.T) {
	seed := gate.Seed(t)
	bubble(t, func(t *testing.T, network *network) {
		s := &scene{t: t, network: network, random: rand.New(rand.NewPCG(seed, 0)), last: make(map[string]uint64)}
		for id := peer.ID(1); id <= 3; id++ {
			s.start(id)
		}
		for range 400 {
			s.act()
		}
		s.heal()
		network.set(func() { network.latency = 0 })
		pass(15 * time.Second)
		for id := peer.ID(1); id <= 3; id++ {
			for _, p := range s.nodes[id].Stats().Peers {
				if !p.Reachable {
					t.Errorf("node %d is still apart from %d: %v", id, p.ID, p.Err)
				}
			}
		}
		if s.received < 10 {
			t.Errorf("only %d of %d frames arrived: the test shows little", s.received, s.sent)
		}
		t.Logf("%d of %d frames arrived", s.received, s.sent)
	})
}
