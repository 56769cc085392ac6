package ws

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"keywatch/ratelimit"
	"keywatch/watch"
	"keywatch/web/api"
	"keywatch/web/reactor"
	"keywatch/web/wire"
)

// A subscription is one watch of a session, and what its watcher wakes: waking
// one of 10,000 costs as little as waking one of one.
type subscription struct {
	session *session
	// watcher may be asked for something once ready is set, under the session's
	// lock.
	watcher watch.Watcher
	id      uint64
	// queued says that the watch is on the session's stack or in its queue, both
	// of which are linked through next; the goroutine that sets it puts it there.
	queued atomic.Bool
	// fresh, synced and resting (in held) belong to the reactor's calls. A fresh
	// watch is told that it is open before anything else.
	ready, fresh, synced, resting, denied bool
	// cost is what the watch is charged as, in bytes.
	cost int32
	next *subscription
}

// A heldWatch is a watch that is looked at when it is due.
type heldWatch struct {
	*subscription
	due time.Duration
}

// Wake implements watch.Waker. It takes no lock.
func (w *subscription) Wake(*watch.Watcher) {
	if !w.queued.CompareAndSwap(false, true) {
		return
	}
	s := w.session
	for {
		top := s.woken.Load()
		w.next = top
		if s.woken.CompareAndSwap(top, w) {
			break
		}
	}
	s.wakeAs(reactor.Events)
}

// A watchQueue is a queue of watches.
type watchQueue struct{ head, tail *subscription }

func (q *watchQueue) push(w *subscription) {
	w.next = nil
	if q.tail == nil {
		q.head = w
	} else {
		q.tail.next = w
	}
	q.tail = w
}

func (q *watchQueue) pop() *subscription {
	w := q.head
	if q.head = w.next; q.head == nil {
		q.tail = nil
	}
	w.next = nil
	return w
}

// collect moves the watches that were woken, or whose time has come, to the
// queue.
func (s *session) collect(at time.Duration) {
	if a := s.active; a != nil {
		a.held = slices.DeleteFunc(a.held, func(w heldWatch) bool {
			if w.due > at {
				return false
			}
			w.resting = false
			s.requeue(w.subscription)
			return true
		})
	}
	top := s.woken.Swap(nil)
	if top == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for top != nil {
		w := top
		top = w.next
		if !w.ready {
			w.queued.Store(false) // it will be woken again when it is ready
			continue
		}
		s.queue.push(w)
	}
}

// requeue has w looked at again, unless that will happen anyway.
func (s *session) requeue(w *subscription) {
	if w.queued.CompareAndSwap(false, true) {
		s.queue.push(w)
	}
}

// events appends what the watches have to tell. more is true if there is more
// at once. What takes long is left for a call that may do so.
func (s *session) events(b []byte, now time.Time, heavy bool) (_ []byte, more bool) {
	at := s.server.clock(now)
	b = s.recheck(b, at)
	if s.grace() != 0 {
		return b, false
	}
	s.collect(at)
	if s.queue.head == nil {
		return b, false
	}
	scratch := s.server.scratches.Get().(*watch.Scratch)
	defer s.server.scratches.Put(scratch)
	for n := 0; s.queue.head != nil && len(b) < reactor.Piece && n < maxPolls && s.grace() == 0; n++ {
		if !heavy && s.queue.head.watcher.Heavy() {
			s.heavy = true
			break
		}
		b = s.poll(b, s.queue.pop(), scratch, now)
	}
	return b, s.queue.head != nil && s.grace() == 0
}

// poll appends what w has to tell.
func (s *session) poll(b []byte, w *subscription, scratch *watch.Scratch, now time.Time) []byte {
	w.queued.Store(false) // from here on it may be woken again
	if w.fresh {
		w.fresh = false
		b = appendOK(b, w.id)
	}
	messages, again, err := w.watcher.Poll(scratch, now)
	if b = s.recheck(b, s.server.clock(now)); w.denied {
		return b
	}
	if err != nil {
		s.forget(w)
		return b
	}
	at := s.server.clock(now)
	if len(messages) == 0 {
		s.leave(w, at, again.Sub(now))
		return b
	}
	b = s.appendEvents(b, w.id, messages)
	for i := range messages {
		s.note(w, &messages[i], at)
	}
	if last := messages[len(messages)-1].Kind; last == watch.Bye || last == watch.Denied {
		s.forget(w)
		return b
	}
	s.requeue(w)
	return b
}

// appendEvents appends what watch id has to tell: a frame for each message, or
// as many lines to a frame as belong there. A browser takes some 0.3 ms for
// a frame, whatever is in it.
func (s *session) appendEvents(b []byte, id uint64, messages []watch.Message) []byte {
	frames := 0
	for len(messages) > 0 {
		start := len(b)
		b = messages[0].AppendFor(append(b, make([]byte, wire.Reserve)...), id)
		messages = messages[1:]
		for s.lines && len(messages) > 0 && len(b)-start < maxLines {
			b = messages[0].AppendFor(append(b, '\n'), id)
			messages = messages[1:]
		}
		b = wire.Finish(b, start, wire.Text)
		frames++
	}
	s.server.framesOut.Add(int64(frames))
	return b
}

// leave leaves w alone until it is woken or wait is over.
func (s *session) leave(w *subscription, at, wait time.Duration) {
	switch {
	case wait <= 0:
		s.requeue(w)
	case wait < watch.Never/2 && !w.resting: // else it is looked at before that
		w.resting = true
		a := s.activate()
		a.held = append(a.held, heldWatch{w, at + wait})
	}
}

// note keeps in mind what a message says about w.
func (s *session) note(w *subscription, m *watch.Message, at time.Duration) {
	switch m.Kind {
	case watch.Reset, watch.Resync:
		s.setSynced(w, false)
	case watch.Synced:
		s.setSynced(w, true)
	}
	if !m.HasAt || !w.synced {
		return
	}
	if m.At.Epoch != s.epoch || m.At.Rev > s.rev {
		s.epoch, s.rev = m.At.Epoch, m.At.Rev
	}
	if s.synced == 1 {
		s.nextProgress = at + s.server.opts.Heartbeat
	}
}

func (s *session) setSynced(w *subscription, synced bool) {
	if w.synced == synced {
		return
	}
	if w.synced = synced; synced {
		s.synced++
	} else {
		s.synced--
	}
}

// progress appends a bookmark for all watches that are synced, when it is time
// and none of them has anything pending.
func (s *session) progress(b []byte, at time.Duration) []byte {
	if s.synced == 0 || at < s.nextProgress || s.grace() != 0 {
		return b
	}
	// The position first: what was left with watches up to there has woken them.
	pos := s.server.opts.Door.Hub().Dispatched()
	if s.woken.Load() != nil || s.busy() {
		return b // it is looked at again when they are done
	}
	if pos.Epoch != s.epoch || pos.Rev < s.rev {
		s.nextProgress = at + time.Second
		return b
	}
	s.nextProgress = at + s.server.opts.Heartbeat
	start := len(b)
	m := watch.Bookmark(pos)
	b = watch.AppendProgress(append(b, make([]byte, wire.Reserve)...), &m)
	s.server.framesOut.Inc()
	return wire.Finish(b, start, wire.Text)
}

// busy reports whether a synced watch has something pending.
func (s *session) busy() bool {
	for w := s.queue.head; w != nil; w = w.next {
		if w.synced {
			return true
		}
	}
	for _, w := range s.held() {
		if w.synced && !w.watcher.Idle() {
			return true
		}
	}
	return false
}

// forget drops a watch that has ended. What waits in held or in the queue is
// found to have ended there.
func (s *session) forget(w *subscription) {
	s.setSynced(w, false)
	if w.resting {
		a := s.activate()
		a.held = slices.DeleteFunc(a.held, func(h heldWatch) bool { return h.subscription == w })
		w.resting = false
	}
	s.remove(w.id, w)
	w.watcher.Close()
}

// placeLocked returns where a watch with this id is, or would be; mu is held.
func (s *session) placeLocked(id uint64) (int, bool) {
	return slices.BinarySearchFunc(s.mu.watches, id, func(w *subscription, id uint64) int {
		switch {
		case w.id < id:
			return -1
		case w.id > id:
			return 1
		}
		return 0
	})
}

// reserve takes the id for a watch that is about to be opened, and charges its cost. It
// fails if there is such a watch, or with a *ratelimit.FullError.
func (s *session) reserve(id uint64, cost int32) (*subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, taken := s.placeLocked(id)
	if taken {
		return nil, api.Refuse(api.CodeBadParameter, "watch %d exists on this socket already", id)
	}
	if err := s.hold.Grow(ratelimit.Watches, int64(cost)); err != nil {
		return nil, err
	}
	w := &subscription{session: s, id: id, cost: cost, fresh: id != 0}
	s.mu.watches = slices.Insert(s.mu.watches, i, w)
	return w, nil
}

// open opens a watch under an id that is free. What it has to tell begins with
// the answer to the command of that id, unless that is 0.
func (s *session) open(id uint64, req watch.Request) error {
	w, err := s.reserve(id, int32(subscriptionCost+req.Cost()))
	if err != nil {
		return err
	}
	req.Waker, req.Progress = w, watch.Never
	api.AwaitPosition(context.Background(), s.server.opts.Door, &req)
	if _, err := s.view().Open(&w.watcher, req); err != nil {
		s.remove(id, w)
		return err
	}
	s.mu.Lock()
	gone := s.gone.Load()
	w.ready = true
	s.mu.Unlock()
	if gone {
		w.watcher.Close()
		return nil
	}
	w.Wake(&w.watcher)
	return nil
}

// unwatch ends a watch. It fails if there is none with this id.
func (s *session) unwatch(id uint64) error {
	w := s.remove(id, nil)
	if w == nil {
		return api.Refuse(api.CodeBadParameter, "watch %d does not exist on this socket", id)
	}
	w.watcher.Close()  // waits for a Poll, so that its events come before the answer
	w.Wake(&w.watcher) // for the session to see that it has ended
	return nil
}

// remove takes the watch out of the session's list, if it is w, or any with
// that id if w is nil, and returns it.
func (s *session) remove(id uint64, w *subscription) *subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.placeLocked(id)
	if !found || w != nil && s.mu.watches[i] != w || w == nil && !s.mu.watches[i].ready {
		return nil
	}
	w = s.mu.watches[i]
	s.mu.watches = slices.Delete(s.mu.watches, i, i+1)
	s.hold.Shrink(ratelimit.Watches, int64(w.cost))
	return w
}
