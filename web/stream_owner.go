package web

import (
	"context"
	"unsafe"

	"keywatch/auth"
	"keywatch/watch"
	"keywatch/web/reactor"
)

// A streamOwner is who streams belong to: all that one caller has share it, so that a stream takes
// no more memory for it.
type streamOwner struct {
	registry *streamRegistry
	// who is nil where there is no authentication.
	who *auth.Caller
	// streams counts those that have it, under the registry's lock.
	streams int
}

// A stream takes 240 bytes, with a caller or without; a change of that fails to compile.
var _ [240]byte = [unsafe.Sizeof(stream{})]byte{}

// owner returns the owner that streams of who share, to be given back with disown.
func (r *streamRegistry) owner(who *auth.Caller) *streamOwner {
	who.Follow()
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.mu.owners[who]
	if o == nil {
		o = &streamOwner{registry: r, who: who}
		r.mu.owners[who] = o
	}
	o.streams++
	return o
}

// disown says that a stream has ended.
func (r *streamRegistry) disown(o *streamOwner) {
	o.who.Unfollow()
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.streams--; o.streams == 0 {
		delete(r.mu.owners, o.who)
	}
}

// recheck wakes the streams whose callers may do something else than they saw last: after those that
// have an event to tell. One of theirs is told nothing of it even so.
func (r *streamRegistry) recheck() {
	r.mu.Lock()
	var stale []*stream
	for s := range r.mu.open {
		if s.owner.who.Changed(s.seen.Load()) {
			stale = append(stale, s)
		}
	}
	r.mu.Unlock()
	for _, s := range stale {
		s.wake(reactor.Endings)
	}
}

// followCallers rechecks streams and sockets whenever permissions change, until ctx ends.
func (s *Server) followCallers(ctx context.Context) {
	for {
		select {
		case <-s.callers:
			if s.door.Shut() != nil {
				s.door.Hub().EndAll(watch.CodeStarting)
			}
			s.streams.recheck()
			s.sockets.Recheck()
			s.redis.Recheck()
		case <-ctx.Done():
			return
		}
	}
}
