package reactor

import "slices"

// keepQueue is the largest queue that a loop keeps while it is empty, in sockets.
const keepQueue = 1 << 12

// A queue has the sockets of one priority that wait for a turn, the first of them first.
type queue struct {
	socks []*sock
	// gone is how many of them have had it.
	gone int
}

func (q *queue) len() int { return len(q.socks) - q.gone }

// push adds sockets.
func (q *queue) push(socks ...*sock) {
	if q.gone > len(q.socks)/2 && len(q.socks)+len(socks) > cap(q.socks) { // room before new room
		q.socks = slices.Delete(q.socks, 0, q.gone)
		q.gone = 0
	}
	q.socks = append(q.socks, socks...)
}

// pop returns the next socket. There must be one.
func (q *queue) pop() *sock {
	s := q.socks[q.gone]
	q.socks[q.gone] = nil
	if q.gone++; q.len() > 0 {
		return s
	}
	q.gone = 0
	if q.socks = q.socks[:0]; cap(q.socks) > keepQueue {
		q.socks = nil
	}
	return s
}
