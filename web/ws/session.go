package ws

import (
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/watch"
	"keywatch/web/reactor"
	"keywatch/web/wire"
)

const (
	// maxInFlight is how many commands of one socket may wait for an answer, and
	// maxInFlightBytes about how much memory they may hold; then the server stops
	// reading.
	maxInFlight, maxInFlightBytes = 64, 1 << 20
	// maxAnswers is how many bytes of answers may wait for a client that does
	// not read; with more no command is begun, and nothing is read.
	maxAnswers = 256 << 10
	// closeWait is how long a client may take to agree to a close.
	closeWait = 5 * time.Second
	// maxPolls bounds the watches that one Fill looks at.
	maxPolls = 256
	// maxLines is how many bytes a message of lines may have before another is
	// begun: so few that one more event of usual size still has the smaller header.
	maxLines = 32 << 10
)

// stage is how far a session has come to its end.
type stage uint8

const (
	// stageOpen reads commands and sends answers and events.
	stageOpen stage = iota
	// stageDraining answers what it has read, and reads no more.
	stageDraining
	// stageClosing is about to send a close frame.
	stageClosing
	// stageClosed has sent it and waits for the client's.
	stageClosed
	// stageOver has nothing more to do.
	stageOver
)

// A session is one WebSocket. It is what the reactor asks for bytes: the fields
// up to mu belong to its calls, of which there is one at a time. Commands run on a
// runner. An idle session owns no goroutine and no buffer.
type session struct {
	server *Server
	sock   reactor.Socket
	in     wire.Reader
	// active is nil while nothing of it is needed.
	active *active
	// queue holds the watches that may have something to tell.
	queue watchQueue
	// synced counts the watches that are synced.
	synced int32
	// stage says how far the session has come.
	stage stage
	// heavy says that the next Fill may do what takes long. heard is set by
	// whatever the client sends, pinged by an unanswered ping, paused while
	// nothing is read.
	heavy, heard, pinged, paused bool
	// tight says that there is no memory for more than what is under way: nothing is
	// read until that is answered.
	tight bool
	// peerClosed says that the client has sent its close frame, or cannot be
	// understood any more.
	peerClosed bool
	// exempt says that the caller is not limited, lines that the client speaks
	// SubprotocolLines.
	exempt, lines bool
	// warned says that the client was told that its credential is about to expire.
	warned bool
	// epoch and rev are the newest position that a synced watch was given.
	epoch kv.Epoch
	rev   kv.Rev
	// nextPing and nextProgress are times on the server's clock.
	nextPing, nextProgress time.Duration

	// caller is for whom commands count, hold what the session makes the server hold
	// in memory.
	caller callerAddr
	// who is the caller that the credential proves; nil where there is no authentication.
	who atomic.Pointer[auth.Caller]
	// seen is the standing of the caller that all watches were allowed under last.
	seen atomic.Uint32
	// stale says that who is another caller than the one that seen is of, unproved that it has proved
	// nothing yet and may do nothing before.
	stale, unproved atomic.Bool
	hold            ratelimit.Hold
	// charged is what is charged of what was read and is under way.
	charged int

	// taken is set by the call that gives the session its socket, or gives it up;
	// attached once sock is set; stopping when the server stops; gone, under the
	// lock, when the session has ended.
	taken, attached, stopping, gone atomic.Bool
	// woken is a stack of the watches that were woken.
	woken atomic.Pointer[subscription]

	mu struct {
		sync.Mutex
		// watches are ordered by id.
		watches []*subscription
		// work is what is known of commands under way; nil while there are none.
		work *work
		// unsent is how many bytes the reactor keeps because the client does not read,
		// answers what is charged of those and of the answers in work. taken is how many
		// bytes of answers the last Fill has moved from work to the reactor.
		unsent, answers, taken int
	}
	// The server's list of sessions is linked through these.
	prev, next *session
}

var _ reactor.Holder = (*session)(nil)

// view returns the store and the hub as the session's caller may use them.
func (s *session) view() auth.View {
	v := s.server.opts.Door.As(s.who.Load())
	if s.server.opts.Door.AuditsWrites() {
		v = v.From(&auth.Origin{Wire: "WebSocket", Address: s.caller.addr().String()})
	}
	return v
}

// attach gives the session its socket.
func (s *session) attach(sock reactor.Socket) reactor.Handler {
	now := s.server.clock(time.Now())
	s.sock = sock
	s.nextPing = now + jittered(pingEvery)
	s.nextProgress = now + jittered(s.server.opts.Heartbeat)
	if s.unproved.Load() {
		s.activate().proveBy = now + unprovedTime
	}
	s.attached.Store(true)
	s.sock.Wake()
	return s
}

// wake has Fill called. It may be called by anyone, at any time.
func (s *session) wake() { s.wakeAs(reactor.Answers) }

func (s *session) wakeAs(p reactor.Priority) {
	if s.attached.Load() {
		s.sock.WakeAs(p)
	}
}

// stop has the session answer what it has read, and close with 1012.
func (s *session) stop() {
	s.stopping.Store(true)
	s.wake()
}

// Heavy implements reactor.Handler.
func (s *session) Heavy() bool { return s.heavy }

// Receive implements reactor.Handler.
func (s *session) Receive(p []byte) {
	s.heard = true
	if s.stage == stageOver {
		return
	}
	if unread := s.unread(); len(unread) > 0 {
		s.keepUnread(append(unread, p...))
		s.chargeRead()
		return
	}
	if n := s.parse(p); n < len(p) {
		s.keepUnread(slices.Clone(p[n:]))
	}
	s.chargeRead()
}

// parse handles the frames in p as long as there is room for what they ask, and
// returns how many bytes it has used.
func (s *session) parse(p []byte) (n int) {
	for n < len(p) && s.listens() {
		m, used, err := s.in.Next(p[n:], s.maxMessage())
		n += used
		if err != nil {
			s.broken(err)
			return len(p)
		}
		if m.Op != 0 {
			s.server.framesIn.Inc()
			s.handle(&m)
		}
	}
	if s.stage == stageOver {
		return len(p)
	}
	if n < len(p) && !s.paused {
		s.paused = true
		s.sock.Pause(true)
	}
	return n
}

// listens reports whether the next frame may be looked at.
func (s *session) listens() bool {
	switch s.stage {
	case stageOpen:
		return !s.stopping.Load() && !s.tight && s.hasRoom(maxInFlight, maxAnswers)
	case stageClosed:
		return true // for the client's close frame
	}
	return false
}

// handle does what one frame asks for.
func (s *session) handle(m *wire.Message) {
	if s.stage == stageClosed {
		if m.Op == wire.Close {
			s.finish()
		}
		return
	}
	switch m.Op {
	case wire.Text:
		s.noteEnd()
		s.enqueue(m)
	case wire.Binary:
		s.close(wire.CloseUnsupported, "messages are text")
	case wire.Ping:
		s.control(wire.Pong, m.Payload)
	case wire.Close:
		code, _, err := wire.ParseClose(m.Payload)
		if err != nil {
			code = err.Code
		}
		s.peerClosed = true
		s.close(code, "")
	}
}

// Fill implements reactor.Handler.
func (s *session) Fill(b []byte, now time.Time) ([]byte, time.Time) {
	at, heavy := s.server.clock(now), s.heavy
	s.heavy = false
	s.readOn()
	b, whole, waiting := s.takeAnswers(b)
	if !whole {
		return b, now
	}
	if s.stopping.Load() {
		s.drain()
	}
	if s.stage >= stageClosing {
		b = s.fillClose(b, at)
		return b, s.time(s.active.ending.until)
	}
	b = s.endProof(b, at)
	b = s.warn(b, at)
	b, more := s.events(b, now, heavy)
	b = s.progress(b, at)
	b = s.ping(b, at)
	s.endUnfinished(at)
	if more || waiting || s.stage >= stageClosing {
		return b, now
	}
	s.tidy()
	return b, s.again(at)
}

// readOn continues with what was received, where that had to wait.
func (s *session) readOn() {
	if s.tight {
		s.chargeRead()
	}
	if unread := s.unread(); len(unread) > 0 {
		s.keepUnread(nil)
		s.keepUnread(unread[s.parse(unread):])
	}
	if s.charged > 0 || s.in.Pending() > 0 {
		s.chargeRead()
	}
	open := s.stage == stageOpen && !s.stopping.Load() && !s.tight && s.hasRoom(maxInFlight/2, maxAnswers/2)
	if s.paused && len(s.unread()) == 0 && (open || s.stage == stageClosed) {
		s.paused = false
		s.sock.Pause(false)
	}
}

// time returns what a time of the server's clock is, zero for never.
func (s *session) time(at time.Duration) time.Time {
	if at == 0 || s.stage == stageOver {
		return time.Time{}
	}
	return s.server.born.Add(at)
}

// again returns when there is something to do although the session is not woken.
func (s *session) again(now time.Duration) time.Time {
	at := min(s.nextPing, s.unfinishedAgain(), s.proofAgain(now))
	if s.grace() != 0 {
		return s.time(at)
	}
	if s.synced > 0 {
		at = min(at, s.nextProgress)
	}
	for _, w := range s.held() {
		at = min(at, w.due)
	}
	return s.time(at)
}

// Unsent implements reactor.Handler.
func (s *session) Unsent(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.unsent = n; n <= s.mu.taken { // there was room for them when they were made
		s.correctAnswersLocked()
		return nil
	}
	return s.chargeAnswersLocked()
}

// Holds implements reactor.Holder.
func (s *session) Holds(n int) error {
	return s.hold.Set(ratelimit.Connections, int64(sessionCost+n))
}

// Closed implements reactor.Handler.
func (s *session) Closed(err error) {
	if err != nil && !errors.Is(err, io.EOF) {
		s.server.opts.Logger.Debug("socket ended", "err", err)
	}
	s.stage = stageOver
	s.keepUnread(nil)
	s.in.Drop()
	s.server.end(s)
}

// cut ends the connection at once.
func (s *session) cut() {
	if s.attached.Load() {
		s.sock.Abort(kv.ErrStopping)
		return
	}
	s.server.abandon(s)
}

// giveUp ends a session before it got its socket, or after.
func (s *session) giveUp() (watches []*watch.Watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone.Store(true)
	for _, w := range s.mu.watches {
		if w.ready { // else it closes itself when it is opened
			watches = append(watches, &w.watcher)
		}
	}
	s.mu.watches = nil
	if k := s.mu.work; k != nil {
		if k.forget(); len(k.inbox) > 0 && !k.running {
			s.wakeRunnerLocked(k)
		}
	}
	return watches
}
