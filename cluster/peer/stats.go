package peer

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Stats are figures of a mesh at one moment. Counts are those since it was opened.
type Stats struct {
	// Peers has those of each node that was added and not removed, in the order of ids.
	Peers []PeerStats
	// Handshakes are the connections that have not said hello yet.
	Handshakes int
	// Refused counts the connections of others that ended before they were accepted.
	Refused uint64
}

// PeerStats are figures of one other node. Counts begin when it is added.
type PeerStats struct {
	ID   ID
	Addr string
	// Reachable is set while it is connected; Since is when that changed, or when it was added. Err
	// says why it is not reachable.
	Reachable bool
	Since     time.Time
	Err       error
	// Connects counts the connections, whichever end dialled; Failures the dials that led
	// to none.
	Connects, Failures uint64
	// Control and Append are figures of their class.
	Control, Append ClassStats
	// Streams are those that the node has open to this one. StreamSent and StreamReceived count
	// the bytes of all streams to and from it, before they are compressed.
	Streams                    int
	StreamSent, StreamReceived uint64
}

// ClassStats are figures of the frames of one class, sent to and received from one node. Bytes are
// those of bodies.
type ClassStats struct {
	// Sent counts those that were handed to a connection.
	Sent, SentBytes uint64
	// Dropped counts those that were not: without a connection or room, or when it ended.
	Dropped                 uint64
	Received, ReceivedBytes uint64
	// Queued is what waits, in bytes, with 64 for each frame.
	Queued int
}

type counters struct {
	connects, failures         atomic.Uint64
	streamSent, streamReceived atomic.Uint64
	of                         [queues]classCounters
}

type classCounters struct {
	sentFrames, sentBytes, dropped, receivedFrames, receivedBytes atomic.Uint64
}

func (c *counters) sent(class Class, n int) {
	of := &c.of[class-Control]
	of.sentFrames.Add(1)
	of.sentBytes.Add(uint64(n))
}

func (c *counters) received(class Class, n int) {
	of := &c.of[class-Control]
	of.receivedFrames.Add(1)
	of.receivedBytes.Add(uint64(n))
}

// Stats returns the mesh's figures.
func (m *Mesh) Stats() Stats {
	s := Stats{Handshakes: m.handshakes.count(), Refused: m.refused.Load()}
	m.mu.Lock()
	for _, p := range m.mu.peers {
		s.Peers = append(s.Peers, p.stats())
	}
	m.mu.Unlock()
	slices.SortFunc(s.Peers, func(a, b PeerStats) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func (p *peer) stats() PeerStats {
	c := &p.counts
	s := PeerStats{
		ID: p.id, Connects: c.connects.Load(), Failures: c.failures.Load(),
		Control: p.classStats(Control), Append: p.classStats(Append),
		StreamSent: c.streamSent.Load(), StreamReceived: c.streamReceived.Load(),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Addr, s.Reachable, s.Since, s.Err, s.Streams = p.mu.addr, p.mu.up, p.mu.since, p.mu.why, p.mu.streams
	return s
}

func (p *peer) classStats(class Class) ClassStats {
	c := &p.counts.of[class-Control]
	s := ClassStats{
		Sent: c.sentFrames.Load(), SentBytes: c.sentBytes.Load(), Dropped: c.dropped.Load(),
		Received: c.receivedFrames.Load(), ReceivedBytes: c.receivedBytes.Load(),
	}
	if l := p.link.Load(); l != nil {
		s.Queued = l.queue.bytes(class)
	}
	return s
}

// throttlePeriod is the time between two log lines of one kind.
const throttlePeriod = 10 * time.Second

// A throttle keeps a log from being flooded: one line in ten seconds.
type throttle struct {
	mu         sync.Mutex
	last       time.Time
	suppressed int
}

// allow reports whether a line may be written now, and how many were not before it.
func (t *throttle) allow(now time.Time) (suppressed int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.last.IsZero() && now.Sub(t.last) < throttlePeriod {
		t.suppressed++
		return 0, false
	}
	suppressed, t.suppressed, t.last = t.suppressed, 0, now
	return suppressed, true
}

// reset has the next line written.
func (t *throttle) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = time.Time{}
}
