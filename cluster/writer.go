package cluster

import (
	"sync"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/kv/wake"
	"keywatch/persist/wal"
)

// A writer makes durable what a core asks for, in order: term and vote first, then entries. It
// does so in the goroutine that asks, or in one of its own. The first error is final: nothing is
// tried again, and no answer is given for what failed.
type writer struct {
	store *storage
	hard  wal.Hard // as it is on disk
	// written is called once for each message that was begun, with why it could not be written.
	written func(*raftpb.Message, error)

	wake wake.Chan
	mu   struct {
		sync.Mutex
		queue []*raftpb.Message
		ended bool
	}
}

// write writes m. Only one goroutine may call it at a time.
func (w *writer) write(m *raftpb.Message) error {
	if m.GetTerm() != 0 {
		if h := (wal.Hard{Term: m.GetTerm(), Vote: m.GetVote()}); h != w.hard {
			if err := w.store.stable.SetHard(h); err != nil {
				return err
			}
			w.hard = h
		}
	}
	if len(m.Entries) == 0 {
		return nil
	}
	return w.store.append(m.Entries)
}

// begin hands m to the goroutine.
func (w *writer) begin(m *raftpb.Message) {
	w.mu.Lock()
	w.mu.queue = append(w.mu.queue, m)
	w.mu.Unlock()
	w.wake.Wake()
}

// end has the goroutine end once it has written everything.
func (w *writer) end() {
	w.mu.Lock()
	w.mu.ended = true
	w.mu.Unlock()
	w.wake.Wake()
}

// run is the goroutine.
func (w *writer) run() {
	for range w.wake {
		for {
			m, ended := w.next()
			if m == nil {
				if ended {
					return
				}
				break
			}
			err := w.write(m)
			w.written(m, err)
			if err != nil {
				return
			}
		}
	}
}

// next returns what is to be written next, nil for nothing.
func (w *writer) next() (m *raftpb.Message, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.mu.queue) == 0 {
		return nil, w.mu.ended
	}
	m = w.mu.queue[0]
	w.mu.queue[0] = nil
	w.mu.queue = w.mu.queue[1:]
	return m, false
}
