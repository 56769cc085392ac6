package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/kv/wake"
)

// A team is three nodes and the network between them, within a bubble of time.
type team struct {
	t      testing.TB
	opts   [5]cluster.Options // by id, from 1; the last is of one that may join
	images [5]*images
	mu     sync.Mutex
	node   [5]*cluster.Node // nil for one that is stopped
	cut    [5]bool          // from the others
	rate   int              // of streams, in bytes a second; 0 for no bound
}

// inTeam runs a test with three nodes.
func inTeam(t *testing.T, change func(id int, o *cluster.Options), test func(*team)) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, change)
		test(w)
		w.end()
	})
}

// newTeam starts three nodes.
func newTeam(t *testing.T, change func(id int, o *cluster.Options)) *team {
	w := &team{t: t}
	for id := 1; id < len(w.opts); id++ {
		o := memory()
		o.ID, o.Members = uint64(id), &raftpb.ConfState{Voters: []uint64{1, 2, 3}}
		if id > 3 {
			o.Members, o.Joins = new(raftpb.ConfState), true
		}
		o.Send = func(to uint64, _ cluster.Class, frame []byte) { w.carry(id, to, frame) }
		w.images[id] = &images{team: w, id: id}
		o.Checkpoints, o.Snapshots = w.images[id], w.images[id]
		o.Stream = func(ctx context.Context, to uint64, head []byte) (cluster.Stream, error) {
			return w.stream(ctx, id, int(to), head)
		}
		if change != nil {
			change(id, &o)
		}
		w.opts[id] = o
	}
	for id := 1; id <= 3; id++ {
		w.start(id)
	}
	return w
}

func (w *team) end() {
	for id := 1; id < len(w.opts); id++ {
		w.stop(id)
	}
}

// state returns the state of a node.
func (w *team) state(id int) *kv.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.opts[id].State
}

func (w *team) setState(id int, next *kv.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opts[id].State = next
}

// restart starts a node again that was stopped, with what its disk has.
func (w *team) restart(id int) {
	w.t.Helper()
	w.stop(id)
	state, err := w.images[id].load()
	if err != nil {
		w.t.Fatal(err)
	}
	w.setState(id, state)
	w.start(id)
}

// carry carries a frame, unless one of its ends is cut off.
func (w *team) carry(from int, to uint64, frame []byte) {
	if to >= uint64(len(w.node)) {
		return // a server that does not run
	}
	w.mu.Lock()
	n := w.node[to]
	lost := w.cut[from] || w.cut[to]
	w.mu.Unlock()
	if n != nil && !lost {
		n.Receive(uint64(from), bytes.Clone(frame))
	}
}

func (w *team) start(id int) {
	w.t.Helper()
	n, err := cluster.Open(w.t.Context(), w.opts[id])
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.node[id] = n
}

func (w *team) stop(id int) {
	w.mu.Lock()
	n := w.node[id]
	w.node[id] = nil
	w.mu.Unlock()
	if n == nil {
		return
	}
	if err := n.Close(); err != nil {
		w.t.Error(err)
	}
}

func (w *team) isolate(id int, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[id] = cut
}

// leader waits until one of the nodes that are not cut off takes commands, and a while for the others to hear
// of it: until then they refuse reads and commands.
func (w *team) leader() int {
	w.t.Helper()
	for range 200 {
		for id := 1; id <= 3; id++ {
			if n := w.node[id]; n != nil && !w.cut[id] && n.Stats().Leader {
				w.tellLeader()
				return id
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Fatal("no node leads after 10 s")
	return 0
}

// tellLeader waits until no node that is not cut off lacks a leader, 500 ms at most.
func (w *team) tellLeader() {
	for range 10 {
		lacks := false
		for id := 1; id <= 3; id++ {
			n := w.node[id]
			lacks = lacks || n != nil && !w.cut[id] && errors.Is(n.Ready(), kv.ErrNoLeader)
		}
		if !lacks {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *team) put(id int, key, value string) {
	w.t.Helper()
	mustPropose(w.t, w.node[id], put(key, value, 0))
}

// has waits until a node has a value that it may not have yet.
func (w *team) has(id int, key, value string) {
	w.t.Helper()
	for range 100 {
		if e, _ := w.state(id).Get(key); e != nil && e.Value() == value {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Errorf("node %d has no %s=%s", id, key, value)
}

// Three nodes must elect one, which alone takes commands; all must apply what it acknowledged, and
// when it goes another must lead and have everything.
func TestThreeNodesOutliveTheirLeader(t *testing.T) {
	for _, quick := range []bool{true, false} {
		inTeam(t, func(_ int, o *cluster.Options) { o.QuickLog = quick }, func(w *team) {
			first := w.leader()
			for i := range 50 {
				w.put(first, fmt.Sprint("k", i), "v")
			}
			for id := 1; id <= 3; id++ {
				w.has(id, "k49", "v")
				r := mustPropose(w.t, w.node[id], put("through", fmt.Sprint(id), 0))
				if e, _ := w.opts[id].State.Get("through"); e == nil || e.Value() != fmt.Sprint(id) || r.Ops[0].Entry.Version != uint64(id) {
					w.t.Errorf("a command through node %d: its state has %v, the answer is %+v", id, e, r)
				}
			}
			w.stop(first)
			second := w.leader()
			w.put(second, "after", "it")
			if got := w.opts[second].State.Len(); got < 51 {
				w.t.Errorf("the new leader has %d keys, want all that were acknowledged", got)
			}
			w.opts[first].State = kv.NewState(kv.StateOptions{Presize: 64})
			w.start(first)
			w.has(first, "after", "it")
			if a, b := w.opts[first].State.Position(), w.opts[second].State.Position(); a != b {
				w.t.Errorf("positions differ: %v and %v", a, b)
			}
		})
	}
}

// A leader that is cut off must not acknowledge anything. When it has returned it must have what the
// others acknowledged; what it had taken is lost, and is sent again, once, if that makes sense
// still.
func TestLeaderThatIsCutOff(t *testing.T) {
	for _, c := range []struct {
		away time.Duration
		err  error
		want string
	}{{time.Second, nil, "first again"}, {20 * time.Second, kv.ErrNoLeader, "second"}} {
		inTeam(t, nil, func(w *team) {
			old := w.leader()
			w.put(old, "k", "first")
			w.isolate(old, true)
			outcome := make(chan error, 1)
			go func() {
				_, err := w.node[old].Propose(context.Background(), put("k", "first again", 0))
				outcome <- err
			}()
			next := w.leader()
			w.put(next, "k", "second")
			time.Sleep(c.away)
			select {
			case err := <-outcome:
				w.t.Errorf("a leader that is cut off answers %v", err)
			default:
			}
			if err := w.node[old].Ready(); c.err != nil && !errors.Is(err, kv.ErrNoLeader) {
				w.t.Errorf("after 20 s without others: got %v, want %v", err, kv.ErrNoLeader)
			}
			w.isolate(old, false)
			if err := <-outcome; !errors.Is(err, c.err) {
				w.t.Errorf("away for %v: got %v, want %v", c.away, err, c.err)
			}
			for id := 1; id <= 3; id++ {
				w.has(id, "k", c.want)
			}
			if e, _ := w.opts[old].State.Get("k"); c.err == nil && e.Version != 3 {
				w.t.Errorf("k has version %d, want 3: each write once", e.Version)
			}
		})
	}
}

// begun returns a ReadBarrier of n that is waited for outside of it.
func begun(n *cluster.Node) func(context.Context) error {
	return func(ctx context.Context) error {
		woken := wake.New()
		b := n.BeginReadBarrier(woken)
		select {
		case <-woken:
			_, err := b.Done()
			return err
		case <-ctx.Done():
			return kv.ErrNoLeader
		}
	}
}

// A read must show all that was acknowledged before it, on whatever node, and none may be answered
// by a node that cannot know.
func TestReadsSeeWhatWasAcknowledged(t *testing.T) {
	inTeam(t, nil, func(w *team) {
		leader := w.leader()
		for id := 1; id <= 3; id++ {
			w.serves(id)
		}
		for i := range 30 {
			w.put(leader, "k", fmt.Sprint(i))
			for id := 1; id <= 3; id++ {
				read := w.node[id].ReadBarrier
				if i%2 == 1 {
					read = begun(w.node[id])
				}
				if err := read(w.t.Context()); err != nil {
					w.t.Fatalf("read at %d: %v", id, err)
				}
				if e, _ := w.opts[id].State.Get("k"); e == nil || e.Value() != fmt.Sprint(i) {
					w.t.Fatalf("read at %d: got %v, want %d", id, e, i)
				}
			}
		}
		w.isolate(leader, true)
		next := w.leader()
		w.put(next, "k", "newer")
		w.serves(6 - leader - next)
		for id := 1; id <= 3; id++ {
			ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Second)
			err := errors.Join(w.node[id].ReadBarrier(ctx), begun(w.node[id])(ctx))
			cancel()
			if id == leader && !errors.Is(err, kv.ErrNoLeader) || id != leader && err != nil {
				w.t.Errorf("read at %d, while %d is cut off: got %v", id, leader, err)
			}
		}
		w.isolate(leader, false)
		w.readsAgain(leader, "newer")
		w.isolate(leader, true)
		time.Sleep(20 * time.Second) // it refuses reads by then
		w.put(w.leader(), "k", "newest")
		w.isolate(leader, false)
		w.readsAgain(leader, "newest")
	})
}

// readsAgain reads k at a node that is no longer cut off. The node refuses reads until it hears of a
// leader. The first that it answers must show the value.
func (w *team) readsAgain(id int, value string) {
	w.t.Helper()
	err := w.node[id].ReadBarrier(w.t.Context())
	for i := 0; i < 100 && errors.Is(err, kv.ErrNoLeader); i++ {
		time.Sleep(50 * time.Millisecond)
		err = w.node[id].ReadBarrier(w.t.Context())
	}
	if err != nil {
		w.t.Fatalf("read at %d, which is back: %v", id, err)
	}
	if e, _ := w.opts[id].State.Get("k"); e == nil || e.Value() != value {
		w.t.Errorf("read at %d, which is back: got %v, want %s", id, e, value)
	}
}

// A node that leads again must count time from what the others logged, and what it took in the
// first time must not end anything.
func TestTimeGoesOnWithEachLeader(t *testing.T) {
	inTeam(t, nil, func(w *team) {
		mustPropose(w.t, w.node[w.leader()], put("k", "v", 20*time.Second))
		for range 4 {
			old := w.leader()
			w.isolate(old, true)
			time.Sleep(3 * time.Second)
			w.leader()
			w.isolate(old, false)
			time.Sleep(time.Second)
		}
		if e, _ := w.opts[w.leader()].State.Get("k"); e == nil {
			w.t.Error("a key with a TTL of 20 s is gone after 16 s")
		}
		time.Sleep(15 * time.Second)
		for id := 1; id <= 3; id++ {
			if e, _ := w.opts[id].State.Get("k"); e != nil {
				w.t.Errorf("node %d has a key with a TTL of 20 s after 31 s", id)
			}
		}
	})
}

// A leader whose disk hangs must be replaced, though it hears the others.
func TestLeaderWhoseDiskHangs(t *testing.T) {
	var doors [5]*door
	inTeam(t, func(id int, o *cluster.Options) {
		doors[id] = newDoor(nil)
		o.Log, o.QuickLog = doors[id], false
	}, func(w *team) {
		old := w.leader()
		w.put(old, "k", "v")
		doors[old].shut()
		go w.node[old].Propose(context.Background(), put("k", "w", 0))
		time.Sleep(10 * time.Second)
		next := 0
		for id := 1; id <= 3; id++ {
			if id != old && w.node[id].Stats().Leader {
				next = id
			}
		}
		if next == 0 {
			w.t.Fatal("no other node leads after 10 s")
		}
		w.put(next, "after", "it")
		doors[old].reopen(nil)
		w.has(old, "after", "it")
	})
}
