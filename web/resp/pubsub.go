package resp

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"keywatch/watch"
	"keywatch/web/resp/wire"
)

// allowedSubscribed reports whether a command is served while a connection of RESP2 has
// subscriptions.
func allowedSubscribed(name string) bool {
	switch name {
	case "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ping", "quit", "reset":
		return true
	}
	return false
}

const (
	maskGeneric mask = 1 << iota
	maskString
	maskList
	maskSet
	maskHash
	maskSorted
	maskExpired
	maskEvicted
	maskStream
	maskModule
	maskNew
	maskMiss
	maskKeyspace
	maskKeyevent

	maskAll = maskNew - 1
)

const keyspacePrefix, keyeventPrefix = "__keyspace@0__:", "__keyevent@0__:"

// subscribed are the subscriptions of all connections, and the pump that feeds them.
type subscribed struct {
	mask atomic.Uint32
	mu   sync.Mutex
	// channels and patterns say who is subscribed to what.
	channels, patterns map[string]map[*session]*pushes
	sessions           map[*session]int
	pump               pump
}

// clients returns how many connections have subscriptions.
func (u *subscribed) clients() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.sessions)
}

// counts returns how many channels and patterns have subscribers.
func (u *subscribed) counts() (channels, patterns int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.channels), len(u.patterns)
}

func (u *subscribed) add(s *session, p *pushes, name string, pattern bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := &u.channels
	if pattern {
		all = &u.patterns
	}
	if *all == nil {
		*all = make(map[string]map[*session]*pushes)
	}
	if (*all)[name] == nil {
		(*all)[name] = make(map[*session]*pushes)
	}
	(*all)[name][s] = p
	if u.sessions == nil {
		u.sessions = make(map[*session]int)
	}
	u.sessions[s]++
}

func (u *subscribed) remove(s *session, name string, pattern bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.channels
	if pattern {
		all = u.patterns
	}
	if _, ok := all[name][s]; !ok {
		return
	}
	delete(all[name], s)
	if len(all[name]) == 0 {
		delete(all, name)
	}
	if u.sessions[s]--; u.sessions[s] == 0 {
		delete(u.sessions, s)
	}
}

// leave ends all subscriptions of s.
func (u *subscribed) leave(s *session) {
	for _, pattern := range []bool{false, true} {
		for _, name := range s.what.Load().names(pattern) {
			if !pattern && isWatch(name) {
				continue
			}
			u.remove(s, name, pattern)
			s.server.pumpLeave(name)
		}
	}
}

// names returns the channels, or patterns, in order.
func (p *pushes) names(pattern bool) (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.channels
	if pattern {
		all = p.patterns
	}
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func directSubscribe(s *session, args [][]byte) []byte {
	kind := strings.ToLower(string(args[0]))
	pattern := kind[0] == 'p'
	var b []byte
	for _, arg := range args[1:] {
		if err := s.subscribe(string(arg), pattern); err != nil {
			b = wire.AppendError(b, s.server.explain(err))
			continue
		}
		b = s.proto.Push(b, 3)
		b = wire.AppendBulk(wire.AppendBulk(b, kind), arg)
		b = wire.AppendInt(b, int64(s.subscriptions()))
	}
	s.noteFlags()
	return b
}

// runSubscribe subscribes, and waits before for positions that other servers have told.
func runSubscribe(s *session, _ *command, args [][]byte) {
	var since watch.Request
	for _, arg := range args[1:] {
		if w, err := parseWatch(string(arg)); isWatch(string(arg)) && err == nil && w.HasSince {
			since = w.Request
		}
	}
	args = cloneAll(args)
	s.afterAwait(&since, func() { s.enter(reply{text: directSubscribe(s, args)}) })
}

func (s *session) subscribe(name string, pattern bool) error {
	p := s.own()
	p.mu.Lock()
	all := p.channels
	if pattern {
		all = p.patterns
	}
	_, had := all[name]
	full := len(p.channels)+len(p.patterns) >= maxSubscriptions
	p.mu.Unlock()
	switch {
	case had:
		return nil
	case !pattern && isWatch(name):
		w, err := parseWatch(name)
		if err == nil {
			err = s.open(name, "", w.Request)
		}
		if err == nil {
			p.mu.Lock()
			all[name] = struct{}{}
			p.mu.Unlock()
		}
		return err
	case full:
		return refusef("ERR too many subscriptions: %d is the most", maxSubscriptions)
	}
	if err := s.maySubscribe(name, pattern); err != nil {
		return err
	}
	if err := s.chargeSubscription(name); err != nil {
		return err
	}
	if err := s.server.pumpJoin(name); err != nil {
		return err
	}
	p.mu.Lock()
	all[name] = struct{}{}
	p.mu.Unlock()
	s.server.subscribed.add(s, p, name, pattern)
	return nil
}

func directUnsubscribe(s *session, args [][]byte) []byte {
	kind := strings.ToLower(string(args[0]))
	pattern := kind[0] == 'p'
	var names []string
	for _, arg := range args[1:] {
		names = append(names, string(arg))
	}
	if len(names) == 0 && s.what.Load() != nil {
		names = s.what.Load().names(pattern)
	}
	var b []byte
	if len(names) == 0 {
		b = s.proto.Nil(wire.AppendBulk(s.proto.Push(nil, 3), kind))
		return wire.AppendInt(b, int64(s.subscriptions()))
	}
	for _, name := range names {
		s.unsubscribe(name, pattern)
		b = wire.AppendBulk(wire.AppendBulk(s.proto.Push(b, 3), kind), name)
		b = wire.AppendInt(b, int64(s.subscriptions()))
	}
	s.told()
	s.noteFlags()
	return b
}

func (s *session) unsubscribe(name string, pattern bool) {
	p := s.what.Load()
	if p == nil {
		return
	}
	p.mu.Lock()
	all := p.channels
	if pattern {
		all = p.patterns
	}
	_, had := all[name]
	delete(all, name)
	p.mu.Unlock()
	if had && !pattern && isWatch(name) {
		s.closeStream(name, "")
	} else if had {
		s.server.subscribed.remove(s, name, pattern)
		s.server.pumpLeave(name)
	}
}

func directPubSub(s *session, args [][]byte) []byte {
	u := &s.server.subscribed
	u.mu.Lock()
	defer u.mu.Unlock()
	switch sub := upper(args[1]); {
	case sub == "CHANNELS" && len(args) <= 3:
		match := glob("*")
		if len(args) == 3 {
			match = glob(args[2])
		}
		var names []string
		for name := range u.channels {
			if match.match(name) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return appendStrings(nil, names)
	case sub == "NUMSUB":
		b := wire.AppendArray(nil, 2*(len(args)-2))
		for _, name := range args[2:] {
			b = wire.AppendInt(wire.AppendBulk(b, name), int64(len(u.channels[string(name)])))
		}
		return b
	case sub == "NUMPAT" && len(args) == 2:
		return wire.AppendInt(nil, int64(len(u.patterns)))
	case sub == "HELP":
		return help("PUBSUB", "CHANNELS [<pattern>]", "    Return the currently active channels matching a <pattern>.", "NUMPAT", "    Return number of subscriptions to patterns.", "NUMSUB [<channel> ...]", "    Return the number of subscribers for the specified channels.")
	}
	return errorText(unknownSub("pubsub", args[1]))
}

// noteFlags says in CLIENT LIST what the connection is for.
func (s *session) noteFlags() {
	flags := ""
	if s.subscriptions() > 0 {
		flags += "P"
	}
	if s.what.Load() != nil {
		flags += s.what.Load().trackingFlags()
	}
	s.mu.Lock()
	s.aboutLocked().flags = flags
	s.mu.Unlock()
}

// protoNow returns the version of the protocol, for others than the session itself.
func (s *session) protoNow() wire.Proto {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.mu.proto, wire.RESP2)
}
