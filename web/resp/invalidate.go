package resp

import (
	"keywatch/kv"
	"keywatch/web/resp/wire"
)

// flush tells what the revision at hand has changed to those who watch prefixes.
func (t *tracking) flush(rev kv.Rev) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, p := range t.bcast {
		p.mu.Lock()
		found := p.tracked.found
		if len(found) > 0 {
			p.tracked.found = make(map[string][]string)
		}
		prefixes := p.tracked.prefixes
		p.mu.Unlock()
		for _, prefix := range prefixes {
			if keys := found[prefix]; len(keys) > 0 {
				t.invalidate(s, p, keys, rev)
			}
		}
	}
}

// lost tells all to forget everything: what has changed is not known.
func (t *tracking) lost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.emptyLocked()
	for s, p := range t.on {
		t.invalidate(s, p, nil, 0)
	}
}

// flushing forgets who has read what, because every key is about to be deleted: all are told to
// forget everything in place of each key. The function that it returns tells them; it is called
// once the deletion is done, or has failed.
func (t *tracking) flushing() (done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.emptyLocked()
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for s, p := range t.on {
			t.invalidate(s, p, nil, 0)
		}
	}
}

// invalidate tells a connection, or the one in its place, that a revision has changed keys; nil
// is all.
func (t *tracking) invalidate(s *session, p *pushes, keys []string, rev kv.Rev) {
	p.mu.Lock()
	redirect, noloop, bcast := p.tracked.redirect, p.tracked.noloop, p.tracked.bcast
	p.mu.Unlock()
	if !noloop {
		rev = 0
	}
	var mine func()
	if rev != 0 && !bcast {
		mine = func() { t.keep(s, keys, rev) }
	}
	if redirect == 0 {
		if proto := s.protoNow(); proto == wire.RESP3 {
			s.pushText(p, pushed{text: appendInvalid(proto.Push(nil, 2), proto, t.server.names.shownAll(keys), false), hold: true, rev: rev, mine: mine})
		}
		return
	}
	if rev != 0 { // the connection itself says so once it knows its own revisions
		s.pushText(p, pushed{hold: true, rev: rev, mine: mine, then: func() { t.redirect(s, p, redirect, keys) }})
		return
	}
	t.redirect(s, p, redirect, keys)
}

// redirect tells another connection that keys have changed.
func (t *tracking) redirect(s *session, p *pushes, redirect uint64, keys []string) {
	target := t.server.find(redirect)
	if target == nil || !s.sameUser(target) {
		t.redirectBroken(s, p, redirect)
		return
	}
	proto, what, names := target.protoNow(), target.what.Load(), t.server.names.shownAll(keys)
	switch {
	case !target.mayBeTold(false, keys...):
	case proto == wire.RESP3:
		if what == nil {
			what = target.own()
		}
		target.pushText(what, pushed{text: appendInvalid(proto.Push(nil, 2), proto, names, false)})
	case what != nil:
		target.pushText(what, pushed{text: appendInvalid(proto.Push(nil, 3), proto, names, true), channel: invalidateChannel})
	}
}

// redirectBroken tells a connection that the one in its place is gone.
func (t *tracking) redirectBroken(s *session, p *pushes, id uint64) {
	p.mu.Lock()
	p.tracked.broken = true
	p.mu.Unlock()
	s.noteFlags()
	if proto := s.protoNow(); proto == wire.RESP3 {
		b := wire.AppendBulk(proto.Push(nil, 2), "tracking-redir-broken")
		s.pushText(p, pushed{text: wire.AppendInt(b, int64(id))})
	}
}

const invalidateChannel = "__redis__:invalidate"

// appendInvalid appends the rest of a message that the keys with names have changed.
func appendInvalid(b []byte, proto wire.Proto, names []string, message bool) []byte {
	if message {
		b = wire.AppendBulk(wire.AppendBulk(b, "message"), invalidateChannel)
	} else {
		b = wire.AppendBulk(b, "invalidate")
	}
	if names == nil {
		return proto.NilArray(b)
	}
	return appendStrings(b, names)
}
