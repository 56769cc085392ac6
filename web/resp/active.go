package resp

import (
	"sync"

	"keywatch/kv"
	"keywatch/kv/trace"
	"keywatch/web/api"
	"keywatch/web/resp/wire"
)

// An active is what a session has while there is something to do: an idle one has none. It belongs to the
// calls of the reactor.
type active struct {
	in wire.Reader
	// unread is what was received and has to wait.
	unread  []byte
	replies replies
	// blocked is set while a job runs.
	blocked bool
	// ahead counts the writes that are not answered, last is the newest of them.
	ahead int
	last  kv.Pending
	multi *transaction
	// watched are the conditions that WATCH has noted of keys.
	watched []kv.Check
	// streams are the watches.
	streams []*stream
	// span is that of the command that runs, if it is sampled.
	span *trace.Span
	// barrier is what reads wait for, or have waited for, parked the command that waits, if any; fresh
	// says that it holds for the command that runs. behind is how many bytes were received behind that.
	barrier *api.Barrier
	parked  *parked
	behind  int
	fresh   bool
	// jobQuiet says that the job is not answered.
	jobQuiet bool
	// shown is what replies show and held what of that is held for the session alone, in bytes.
	shown, held int
}

// actives are those that sessions have let go of.
var actives = sync.Pool{New: func() any { return new(active) }}

// activate has the session have what it needs to do something.
func (s *session) activate() {
	if s.active == nil {
		s.active = actives.Get().(*active)
		s.in.Most = s.most()
	}
}

// settleDown lets go of what an idle session does not need.
func (s *session) settleDown() {
	if a := s.active; a != nil && a.idle() {
		s.active = nil
		a.reset()
		actives.Put(a)
	}
}

// idle reports whether nothing of a is needed.
func (a *active) idle() bool {
	return a.in.Idle() && len(a.unread) == 0 && a.replies.len() == 0 && !a.blocked && a.ahead == 0 && a.multi == nil &&
		len(a.watched) == 0 && len(a.streams) == 0 && a.parked == nil && !a.barrier.Holds()
}

// reset makes a new again, but for room that is small.
func (a *active) reset() {
	a.in.Reset()
	a.replies.reset()
	*a = active{in: a.in, replies: a.replies}
}
