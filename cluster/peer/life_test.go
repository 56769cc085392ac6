package peer_test

import (
	"testing"
	"time"

	"keywatch/cluster/peer"
)

// joinTelling is join with a node that is also told which processes have ended.
func joinTelling(t testing.TB, network *network, id peer.ID) (n *node) {
	return join(t, network, id, func(o *peer.Options) {
		o.Ended = func(id peer.ID) { n.tell("%d ended", id) }
	})
}

// restart ends the process of a node and starts another one in its place.
func (n *node) restart(t testing.TB, network *network, other *node) *node {
	t.Helper()
	n.close()
	next := join(t, network, n.id, nil)
	if err := next.Add(other.id, other.addr); err != nil {
		t.Fatal(err)
	}
	return next
}

// If the end of a process was not noticed, a leader that crashed would be missed a timeout later; if it was told
// twice, or where a process only lost its connection, leaders would change without need.
func TestEndOfAProcess(t *testing.T) {
	const soon = 250 * time.Millisecond
	for _, id := range []peer.ID{1, 9} { // it dials, or is dialled
		bubble(t, func(t *testing.T, network *network) {
			a, b := joinTelling(t, network, id), join(t, network, 2, nil)
			add(t, a, b)
			pass(5 * time.Second)
			expect(t, a, "2 up")

			b.close()
			pass(soon)
			expect(t, a, "2 down", "2 ended")
			pass(time.Minute)
			expect(t, a)
			b = b.restart(t, network, a)
			pass(5 * time.Second)
			expect(t, a, "2 up")

			b = b.restart(t, network, a) // before its address was dialled
			pass(5 * time.Second)
			expect(t, a, "2 down", "2 ended", "2 up")
			_ = b
		})
	}
}

// A connection that ends does not say that the process has: not if that is there still, nor if it is cut off, though
// its address refuses connections.
func TestEndOfAConnection(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := joinTelling(t, network, 1), join(t, network, 2, nil)
		add(t, a, b)
		pass(5 * time.Second)
		network.reset()
		pass(5 * time.Second)
		expect(t, a, "2 up", "2 down", "2 up")

		network.isolate(a.addr, b.addr, true)
		pass(10 * time.Second)
		expect(t, a, "2 down")
		b.close()
		network.isolate(a.addr, b.addr, false)
		pass(10 * time.Second)
		expect(t, a)
	})
}
