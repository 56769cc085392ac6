package resp

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"keywatch/ratelimit"
	"keywatch/watch"
	"keywatch/web/api"
	"keywatch/web/reactor"
	"keywatch/web/resp/wire"
)

// watchChannel begins the names of channels that are watches: kw:watch?prefix=a/&since=POS.
const watchChannel = "kw:watch"

const (
	// maxStreams is how many watches one connection may have.
	maxStreams = 1000
	// streamCost is about what a watch takes in memory beside its names, in bytes.
	streamCost = 2 << 10
	// maxPolls bounds the watches that one Fill looks at.
	maxPolls = 64
)

// A stream is a watch of a connection. It belongs to the calls of the reactor, but for Wake.
type stream struct {
	session *session
	watcher watch.Watcher
	// name is the channel that it was subscribed to as, or else id what KW.WATCH named it.
	name, id string
	// bare says that it is told no values.
	bare bool
	// denied says that the caller may not have it any more.
	denied bool
	woken  atomic.Bool
	due    time.Time // when it is looked at although it was not woken; zero is never
}

// Wake implements watch.Waker.
func (st *stream) Wake(*watch.Watcher) {
	st.woken.Store(true)
	st.session.Wake()
}

// isWatch reports whether a channel is a watch.
func isWatch(name string) bool {
	return name == watchChannel || strings.HasPrefix(name, watchChannel+"?")
}

// parseWatch reads the query of a channel.
func parseWatch(name string) (w api.Watch, err error) {
	_, query, _ := strings.Cut(name, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return w, refusal("ERR the query of the channel is malformed")
	}
	for field, all := range values {
		one := all[0]
		switch field {
		case "key":
			w.Request.Keys = all
		case "prefix":
			w.Request.Prefixes = all
		case "since":
			w.Request.Since, w.HasSince = one, true
		case "state":
			w.State, w.HasState = one == "1", true
		case "mode":
			err = w.SetMode(one)
		case "interval":
			err = w.SetInterval(one)
		default:
			err = refusef("ERR unknown parameter '%.80s'", field)
		}
		if err != nil {
			return w, err
		}
	}
	return w, w.Finish()
}

// open begins a watch.
func (s *session) open(name, id string, req watch.Request) error {
	if len(s.streams) >= maxStreams {
		return refusef("ERR too many watches: %d is the most of one connection", maxStreams)
	}
	if err := s.server.names.watch(s, &req); err != nil {
		return err
	}
	size := int64(streamCost + len(name))
	for _, names := range [][]string{req.Keys, req.Prefixes} {
		for _, n := range names {
			size += int64(len(n)) + subscriptionCost
		}
	}
	if err := s.hold.Grow(ratelimit.Watches, size); err != nil {
		return err
	}
	st := &stream{session: s, name: name, id: id, bare: req.Mode == watch.Keys}
	st.woken.Store(true)
	req.Waker = st
	if _, err := s.view().Open(&st.watcher, req); err != nil {
		s.hold.Shrink(ratelimit.Watches, size)
		return noChannel(err)
	}
	s.streams = append(s.streams, st)
	return nil
}

// closeStream ends the watch of a channel or, if that is empty, with an id. It reports whether
// there was one.
func (s *session) closeStream(name, id string) bool {
	i := slices.IndexFunc(s.streams, func(st *stream) bool { return st.name == name && st.id == id })
	if i < 0 {
		return false
	}
	s.streams[i].watcher.Close()
	s.streams = slices.Delete(s.streams, i, i+1)
	return true
}

// streamEvents appends what the watches have to tell, about a piece of it. What takes long is
// left for a call that may do so.
func (s *session) streamEvents(b []byte, now time.Time, heavy bool) (_ []byte, again time.Time) {
	if len(s.streams) == 0 || s.replies.len() > 0 {
		return b, again
	}
	scratch := s.server.scratches.Get().(*watch.Scratch)
	defer s.server.scratches.Put(scratch)
	polls := 0
	for _, st := range slices.Clone(s.streams) {
		if !st.due.IsZero() && !now.Before(st.due) {
			st.woken.Store(true)
		}
		if !st.woken.Load() {
			again = sooner(again, st.due)
			continue
		}
		if polls++; len(b) >= reactor.Piece || polls > maxPolls || !heavy && st.watcher.Heavy() {
			s.heavy = s.heavy || st.watcher.Heavy()
			return b, now
		}
		var at time.Time
		b, at = s.poll(b, st, scratch, now)
		again = sooner(again, at)
	}
	return b, again
}

// sooner returns the earlier of two times, of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// poll appends what one watch has to tell, and returns when to look at it again.
func (s *session) poll(b []byte, st *stream, scratch *watch.Scratch, now time.Time) ([]byte, time.Time) {
	st.woken.Store(false) // from here on it may be woken again
	s.between()
	messages, again, err := st.watcher.Poll(scratch, now)
	if b = s.recheck(b); st.denied {
		return b, time.Time{}
	}
	if err != nil {
		s.closeStream(st.name, st.id)
		return b, time.Time{}
	}
	if len(messages) == 0 {
		if st.due = again; again.Sub(now) >= watch.Never/2 {
			st.due = time.Time{}
		}
		return b, st.due
	}
	for i := range messages {
		b = st.append(b, &messages[i])
	}
	if last := messages[len(messages)-1].Kind; last == watch.Bye || last == watch.Denied {
		s.closeStream(st.name, st.id)
		return b, time.Time{}
	}
	st.woken.Store(true)
	return b, now
}

// append appends one message.
func (st *stream) append(b []byte, m *watch.Message) []byte {
	p := st.session.proto
	if st.name != "" {
		body := watch.NDJSON.Append(nil, st.named(m))
		b = wire.AppendBulk(wire.AppendBulk(p.Push(b, 3), "message"), st.name)
		return wire.AppendBulk(b, body[:len(body)-1])
	}
	changed := m.Kind == watch.Put || m.Kind == watch.Delete
	n := 4
	switch {
	case changed:
		n = 9
	case m.Kind == watch.Denied:
		n = 5
	}
	b = wire.AppendBulk(wire.AppendBulk(p.Push(b, n), "kw.watch"), st.id)
	b = wire.AppendBulk(b, m.Kind.String())
	if changed {
		b = st.appendChange(b, m)
	}
	if m.Kind == watch.Denied {
		return wire.AppendBulk(p.Nil(b), m.Code)
	}
	if m.HasAt {
		return wire.AppendBulk(b, m.At.String())
	}
	return p.Nil(b)
}

// named returns a message with the name of its key.
func (st *stream) named(m *watch.Message) *watch.Message {
	name := st.session.server.names.shown(m.Key)
	if name == m.Key {
		return m
	}
	renamed := m.As(name)
	return &renamed
}

// appendChange appends key, value, revision, version and TTL of a change.
func (st *stream) appendChange(b []byte, m *watch.Message) []byte {
	p := st.session.proto
	b = wire.AppendBulk(b, st.session.server.names.shown(m.Key))
	if m.Kind == watch.Put && !m.Entry.Cold() && !st.bare {
		b = wire.AppendBulk(b, m.Entry.Value())
	} else {
		b = p.Nil(b)
	}
	b = wire.AppendInt(wire.AppendInt(b, int64(m.Entry.Mod)), int64(m.Entry.Version))
	if ttl := m.Entry.TTL(m.Time); m.Kind == watch.Put && ttl != 0 {
		return wire.AppendInt(b, ttl)
	}
	return p.Nil(b)
}

// runWatchCommand is KW.WATCH id [KEY k]... [PREFIX p]... [SINCE pos|LIVE] [MODE mode] [INTERVAL ms].
func runWatchCommand(s *session, _ *command, args [][]byte) {
	w, err := parseWatchArgs(args)
	if err == nil && s.proto != wire.RESP3 {
		err = refusal("ERR KW.WATCH requires RESP3: send HELLO 3, or SUBSCRIBE kw:watch?prefix=")
	}
	if err == nil && slices.ContainsFunc(s.streams, func(st *stream) bool { return st.name == "" && st.id == string(args[1]) }) {
		err = refusal("ERR this connection has a watch of that id")
	}
	if err != nil {
		s.fail(err)
		return
	}
	id := string(args[1])
	s.afterAwait(&w.Request, func() {
		if err := s.open("", id, w.Request); err != nil {
			s.fail(err)
			return
		}
		s.say(textOK)
	})
}

func parseWatchArgs(args [][]byte) (w api.Watch, err error) {
	for i := 2; i < len(args); i++ {
		word := upper(args[i])
		if word == "LIVE" {
			w.HasState, w.State = true, false
			continue
		}
		if i++; i == len(args) {
			return w, errSyntax
		}
		value := string(args[i])
		switch word {
		case "KEY":
			w.Request.Keys = append(w.Request.Keys, value)
		case "PREFIX":
			w.Request.Prefixes = append(w.Request.Prefixes, value)
		case "SINCE":
			w.Request.Since, w.HasSince = value, true
		case "MODE":
			err = w.SetMode(strings.ToLower(value))
		case "INTERVAL":
			if _, numeric := strconv.Atoi(value); numeric == nil {
				value += "ms"
			}
			err = w.SetInterval(value)
		default:
			err = errSyntax
		}
		if err != nil {
			return w, err
		}
	}
	return w, w.Finish()
}

// afterAwait calls then once this server has the position that req resumes after: at once, or
// when a job has waited for it.
func (s *session) afterAwait(req *watch.Request, then func()) {
	if req.Since == "" {
		then()
		return
	}
	s.job(func() reply {
		api.AwaitPosition(s.server.deadline(), s.server.opts.Door, req)
		return reply{then: then}
	})
}

func directUnwatchCommand(s *session, args [][]byte) []byte {
	if s.closeStream("", string(args[1])) {
		return textOne
	}
	return textZero
}
