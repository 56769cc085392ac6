package resp

import (
	"sync"

	"keywatch/kv"
)

// A work is all that one command takes from its bytes to its reply. Most commands take no other
// memory, and it is used again once they are answered: it never outlives its reply, and only
// its session knows it. What the log keeps of a command it has copied.
type work struct {
	call
	command kv.Command
	rest    rest
	ops     [2]kv.Op
	// queued is set while a reply waits that is a part of it.
	queued bool
}

var works = sync.Pool{New: func() any { return new(work) }}

// work returns what a command takes. It is released by the caller.
func (s *session) work(cmd *command, args [][]byte) *work {
	w := works.Get().(*work)
	w.begin(s, cmd, args)
	w.room = w.ops[:0]
	return w
}

// reply returns the reply of w, which is made of p. It must be queued.
func (w *work) reply(p *plan) *rest {
	w.queued = true
	w.rest.work, w.rest.call, w.rest.shape = w, &w.call, p.render
	w.args = nil // they are those of the connection's buffer
	return &w.rest
}

// answered releases w, whose reply was made.
func (w *work) answered() {
	w.queued = false
	w.release()
}

// release gives w back, unless its reply is queued.
func (w *work) release() {
	if !w.queued {
		*w = work{}
		works.Put(w)
	}
}
