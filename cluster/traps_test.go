package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/cluster"
	"keywatch/persist/disk"
	"keywatch/persist/wal"
)

// Raft drops proposals and questions without a word while leadership is handed over. No write may have
// an unknown outcome for it, and no read may wait for longer than a second.
func TestTransferUnderLoad(t *testing.T) {
	rostered(t, func(w *team, _ *[4]atomic.Int32) {
		ctx, end := context.WithCancel(w.t.Context())
		var work sync.WaitGroup
		var writes, reads atomic.Int64
		for i := range 9 {
			n := w.node[1+i%3]
			work.Go(func() {
				for k := 0; ctx.Err() == nil; k++ {
					if _, err := n.Propose(w.t.Context(), put(fmt.Sprintf("%d/%d", i, k), "v", 0)); err != nil {
						w.t.Errorf("a write through node %d: %v", 1+i%3, err)
						return
					}
					writes.Add(1)
					time.Sleep(4 * time.Millisecond)
				}
			})
			work.Go(func() {
				for ctx.Err() == nil {
					began := time.Now()
					if err := n.ReadBarrier(w.t.Context()); err != nil || time.Since(began) > time.Second {
						w.t.Errorf("a read at node %d: %v after %v", 1+i%3, err, time.Since(began))
						return
					}
					reads.Add(1)
					time.Sleep(4 * time.Millisecond)
				}
			})
		}
		for turn := range 12 {
			time.Sleep(300 * time.Millisecond)
			to := 1 + turn%3
			if l := w.leader(); l != to {
				if err := w.node[l].Transfer(w.t.Context(), fmt.Sprint("n", to)); err != nil {
					w.t.Errorf("from %d to %d: %v", l, to, err)
				}
			}
		}
		end()
		work.Wait()
		if writes.Load() < 500 || reads.Load() < 500 {
			w.t.Errorf("%d writes and %d reads: too few to tell", writes.Load(), reads.Load())
		}
	})
}

// Raft's bound on what is not committed is forgotten with each term. A log must not grow for it: a leader
// without a majority has two entries under way, whatever waits.
func TestLeadersInTurnWithoutAMajority(t *testing.T) {
	inTeam(t, nil, func(w *team) {
		for turn := range 4 {
			old := w.leader()
			w.put(old, "k", "v")
			before, err := w.opts[old].Log.LastIndex()
			if err != nil {
				w.t.Fatal(err)
			}
			w.isolate(old, true)
			var waiting sync.WaitGroup
			ctx, end := context.WithCancel(w.t.Context())
			for i := range 2000 {
				waiting.Go(func() {
					_, _ = w.node[old].Propose(ctx, put(fmt.Sprintf("%d/%d", turn, i), strings.Repeat("x", 1000), 0))
				})
			}
			time.Sleep(5 * time.Second)
			after, err := w.opts[old].Log.LastIndex()
			if err != nil {
				w.t.Fatal(err)
			}
			if after == before || after > before+2 {
				w.t.Errorf("turn %d: the log of a leader that is cut off grew by %d entries, want 1 or 2", turn, after-before)
			}
			end()
			waiting.Wait()
			w.leader()
			w.isolate(old, false)
			time.Sleep(2 * time.Second)
		}
	})
}

// A torn is a log in which old entries cannot be read once it is told so.
type torn struct {
	*wal.MemLog
	damaged atomic.Bool
}

func (l *torn) Read(index uint64, e *wal.Entry) error {
	if l.damaged.Load() && index < 20 {
		return &disk.DamageError{File: "log", Offset: disk.Unknown, Reason: "a test says so"}
	}
	return l.MemLog.Read(index, e)
}

// A leader that reads a damaged entry for a server which has fallen behind must end with the damage as
// its reason, once, and another must lead.
func TestDamagedEntryForASlowServer(t *testing.T) {
	var logs [5]*torn
	var ended [5]atomic.Int32
	inTeam(t, func(id int, o *cluster.Options) {
		logs[id] = &torn{MemLog: wal.NewMemLog()}
		o.Log = logs[id]
		o.Fatal = func(err error) {
			if _, ok := errors.AsType[*disk.DamageError](err); !ok {
				t.Errorf("node %d ends with %v, want the damage", id, err)
			}
			ended[id].Add(1)
		}
	}, func(w *team) {
		l := w.leader()
		behind, other := others(l)
		w.isolate(behind, true)
		for i := range 24 { // more than is kept in memory
			w.put(l, fmt.Sprint("k", i), strings.Repeat("x", 1<<20))
		}
		logs[l].damaged.Store(true)
		w.isolate(behind, false)
		for range 200 {
			if ended[l].Load() > 0 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if n := ended[l].Load(); n != 1 {
			w.t.Fatalf("the leader with the damage ended %d times, want once", n)
		}
		for range 200 {
			if w.node[other].Stats().Leader {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		w.put(other, "after", "it")
		w.has(behind, "after", "it")
		if n := ended[behind].Load() + ended[other].Load(); n != 0 {
			w.t.Errorf("%d servers without damage ended", n)
		}
	})
}
