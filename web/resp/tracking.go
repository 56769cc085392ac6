package resp

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"keywatch/kv"
	"keywatch/watch"
	"keywatch/web/resp/wire"
)

// tracked is what a connection has asked tracking for. It is guarded by its pushes.
type tracked struct {
	on, bcast, optin, optout, noloop bool
	// caching is what CLIENT CACHING has said of the next command.
	caching, answered bool
	// redirect is the connection that is told in its place, 0 for none; broken says that it is
	// gone.
	redirect uint64
	broken   bool
	prefixes []string
	// found are the keys of the revision at hand, by prefix.
	found map[string][]string
	// own are the last revisions that the connection itself has written.
	own []kv.Rev
}

// maxOwn is how many revisions of its own a connection remembers.
const maxOwn = 1024

// tracking is the table of who is to be told of which key.
type tracking struct {
	server *Server
	mu     sync.Mutex
	// keys says who has read what, and up to which revision; mine what each has read.
	keys   map[string]map[*session]kv.Rev
	mine   map[*session]map[string]struct{}
	items  int
	most   int
	bcast  map[*session]*pushes
	on     map[*session]*pushes
	prefix int
}

func (t *tracking) init(v *Server) {
	t.server, t.most = v, defaultTable
	t.emptyLocked()
	t.bcast, t.on = make(map[*session]*pushes), make(map[*session]*pushes)
	v.subscribed.mask.Store(uint32(maskAll | maskKeyspace | maskKeyevent))
}

// emptyLocked forgets who has read what.
func (t *tracking) emptyLocked() {
	t.keys, t.mine, t.items = make(map[string]map[*session]kv.Rev), make(map[*session]map[string]struct{}), 0
}

func (t *tracking) clients() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.on)
}

func (t *tracking) counts() (keys, items, prefixes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.keys), t.items, t.prefix
}

// enter notes that a connection is about to read keys. What has happened up to rev it will see.
func (t *tracking) enter(s *session, keys [][]byte, rev kv.Rev) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.on[s] == nil {
		return
	}
	for _, key := range keys {
		name := string(key)
		if t.keys[name] == nil {
			t.keys[name] = make(map[*session]kv.Rev, 1)
		}
		if _, had := t.keys[name][s]; !had {
			t.items++
			if t.mine[s] == nil {
				t.mine[s] = make(map[string]struct{})
			}
			t.mine[s][name] = struct{}{}
		}
		t.keys[name][s] = rev
	}
	t.boundLocked()
}

// bound sets how many keys the table may hold.
func (t *tracking) bound(most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = most
	t.boundLocked()
}

// boundLocked tells of keys, and forgets them, while there are too many. 0 is no bound.
func (t *tracking) boundLocked() {
	for key := range t.keys {
		if t.most == 0 || len(t.keys) <= t.most {
			return
		}
		t.tellLocked(key, 0)
	}
}

// changed takes note of a change.
func (t *tracking) changed(m *watch.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tellLocked(m.Key, m.Entry.Mod)
	for s, p := range t.bcast {
		if !s.mayBeTold(true, m.Key) {
			continue // it is about to end
		}
		p.mu.Lock()
		k := &p.tracked
		for _, prefix := range k.prefixes {
			if strings.HasPrefix(m.Key, prefix) {
				k.found[prefix] = append(k.found[prefix], m.Key)
			}
		}
		p.mu.Unlock()
	}
}

// tellLocked tells those who have read key that it has changed in a revision, and forgets them.
func (t *tracking) tellLocked(key string, rev kv.Rev) {
	who := t.keys[key]
	for s, since := range who {
		if rev != 0 && rev <= since {
			continue
		}
		delete(who, s)
		delete(t.mine[s], key)
		t.items--
		if p := t.on[s]; p != nil && s.mayBeTold(false, key) {
			t.invalidate(s, p, []string{key}, rev)
		}
	}
	if len(who) == 0 {
		delete(t.keys, key)
	}
}

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
	redirect, noloop := p.tracked.redirect, p.tracked.noloop
	p.mu.Unlock()
	if !noloop {
		rev = 0
	}
	if redirect == 0 {
		if proto := s.protoNow(); proto == wire.RESP3 {
			s.pushText(p, pushed{text: appendInvalid(proto.Push(nil, 2), proto, keys, false), hold: true, rev: rev})
		}
		return
	}
	if rev != 0 { // the connection itself says so once it knows its own revisions
		s.pushText(p, pushed{hold: true, rev: rev, then: func() { t.redirect(s, p, redirect, keys) }})
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
	proto, what := target.protoNow(), target.what.Load()
	switch {
	case !target.mayBeTold(false, keys...):
	case proto == wire.RESP3:
		if what == nil {
			what = target.own()
		}
		target.pushText(what, pushed{text: appendInvalid(proto.Push(nil, 2), proto, keys, false)})
	case what != nil && what.has(invalidateChannel):
		target.pushText(what, pushed{text: appendInvalid(proto.Push(nil, 3), proto, keys, true)})
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

// appendInvalid appends the rest of a message that keys have changed.
func appendInvalid(b []byte, proto wire.Proto, keys []string, message bool) []byte {
	if message {
		b = wire.AppendBulk(wire.AppendBulk(b, "message"), invalidateChannel)
	} else {
		b = wire.AppendBulk(b, "invalidate")
	}
	if keys == nil {
		return proto.NilArray(b)
	}
	return appendStrings(b, keys)
}

func (p *pushes) has(channel string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.channels[channel]
	return ok
}

// find returns the connection with an id, nil if there is none.
func (v *Server) find(id uint64) *session {
	v.mu.Lock()
	defer v.mu.Unlock()
	for s := v.mu.first; s != nil; s = s.next {
		if s.id == id && !s.gone.Load() {
			return s
		}
	}
	return nil
}

// forget forgets what a connection has read, because it may not be told any more of some of it, and
// has it forget that too.
func (t *tracking) forget(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.on[s]; p != nil {
		t.forgetLocked(s)
		t.invalidate(s, p, nil, 0)
	}
}

// forgetLocked forgets what s has read.
func (t *tracking) forgetLocked(s *session) {
	for key := range t.mine[s] {
		who := t.keys[key]
		delete(who, s)
		if t.items--; len(who) == 0 {
			delete(t.keys, key)
		}
	}
	delete(t.mine, s)
}

// stop ends the tracking of a connection.
func (t *tracking) stop(s *session) {
	t.mu.Lock()
	p := t.on[s]
	if p == nil {
		t.mu.Unlock()
		return
	}
	delete(t.on, s)
	delete(t.bcast, s)
	t.forgetLocked(s)
	p.mu.Lock()
	t.prefix -= len(p.tracked.prefixes)
	p.tracked = tracked{}
	p.mu.Unlock()
	t.mu.Unlock()
	t.server.pumpStop()
}

// redirect returns what CLIENT LIST shows: the connection that is told, 0 for none, -1 without
// tracking.
func (p *pushes) redirect() int64 {
	if p == nil {
		return -1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.tracked.on {
		return -1
	}
	return int64(p.tracked.redirect)
}

// trackingFlags are the letters of CLIENT LIST.
func (p *pushes) trackingFlags() (flags string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tracked.on {
		flags = "t"
	}
	if p.tracked.broken {
		flags += "R"
	}
	if p.tracked.bcast {
		flags += "B"
	}
	return flags
}

// trackReads notes which keys a command is about to read, if the connection tracks them.
func (s *session) trackReads(cmd *command, args [][]byte) {
	p := s.what.Load()
	if p == nil || cmd.writes() || cmd.first == 0 || !slices.Contains(cmd.flags, "readonly") {
		return
	}
	p.mu.Lock()
	k := &p.tracked
	reads := k.on && !k.bcast && !(k.optin && !(k.answered && k.caching)) && !(k.optout && k.answered && !k.caching)
	p.mu.Unlock()
	if reads {
		s.server.tracking.enter(s, cmd.keysOf(args), s.server.opts.Door.Position().Rev)
	}
}

// endCaching forgets what CLIENT CACHING has said, after the command that it was for.
func (s *session) endCaching(cmd *command, args [][]byte) {
	p := s.what.Load()
	if p == nil || cmd == nil || s.multi != nil || cmd.name == "client" && len(args) > 1 && upper(args[1]) == "CACHING" {
		return
	}
	p.mu.Lock()
	p.tracked.answered = false
	p.mu.Unlock()
}

// wrote notes a revision of the connection's own.
func (s *session) wrote(rev kv.Rev) {
	p := s.what.Load()
	if p == nil || rev == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := &p.tracked; k.noloop {
		if k.own = append(k.own, rev); len(k.own) > maxOwn {
			k.own = k.own[1:]
		}
	}
}

func (s *session) clientTracking(sub string, args [][]byte) []byte {
	switch sub {
	case "GETREDIR":
		return wire.AppendInt(nil, s.what.Load().redirect())
	case "TRACKINGINFO":
		return s.trackingInfo()
	case "CACHING":
		return s.caching(upper(args[2]))
	}
	switch upper(args[2]) {
	case "ON":
		k, err := s.parseTracking(args[3:])
		if err == nil {
			err = s.track(k)
		}
		if err != nil {
			return wire.AppendError(nil, s.server.explain(err))
		}
	case "OFF":
		s.server.tracking.stop(s)
	default:
		return errorText(errSyntax)
	}
	s.noteFlags()
	return textOK
}

func (s *session) parseTracking(args [][]byte) (k tracked, err error) {
	k.on = true
	for i := 0; i < len(args); i++ {
		switch word := upper(args[i]); {
		case word == "REDIRECT" && i+1 < len(args):
			i++
			if k.redirect != 0 {
				return k, refusal("ERR A client can only redirect to a single other client")
			}
			id, err := strconv.ParseUint(string(args[i]), 10, 63)
			if err != nil {
				return k, refusal("ERR Invalid client ID")
			}
			if target := s.server.find(id); target == nil || !s.sameUser(target) {
				return k, refusal("ERR The client ID you want redirect to does not exist")
			}
			k.redirect = id
		case word == "BCAST":
			k.bcast = true
		case word == "OPTIN":
			k.optin = true
		case word == "OPTOUT":
			k.optout = true
		case word == "NOLOOP":
			k.noloop = true
		case word == "PREFIX" && i+1 < len(args):
			i++
			k.prefixes = append(k.prefixes, string(args[i]))
		default:
			return k, errSyntax
		}
	}
	switch {
	case len(k.prefixes) > 0 && !k.bcast:
		return k, refusal("ERR PREFIX option requires BCAST mode to be enabled")
	case k.bcast && (k.optin || k.optout):
		return k, refusal("ERR OPTIN and OPTOUT are not compatible with BCAST")
	case k.optin && k.optout:
		return k, refusal("ERR You can't specify both OPTIN mode and OPTOUT mode")
	}
	return k, nil
}

// collides returns a refusal if two prefixes overlap.
func collides(have, more []string) error {
	for i, a := range more {
		for _, b := range have {
			if strings.HasPrefix(a, b) || strings.HasPrefix(b, a) {
				if a != b {
					return refusef("ERR Prefix '%s' overlaps with an existing prefix '%s'. Prefixes for a single client must not overlap.", a, b)
				}
			}
		}
		for _, b := range more[i+1:] {
			if strings.HasPrefix(a, b) || strings.HasPrefix(b, a) {
				return refusef("ERR Prefix '%s' overlaps with another provided prefix '%s'. Prefixes for a single client must not overlap.", a, b)
			}
		}
	}
	return nil
}

// track begins tracking, or changes it.
func (s *session) track(k tracked) error {
	p := s.own()
	t := &s.server.tracking
	p.mu.Lock()
	old := p.tracked
	p.mu.Unlock()
	switch {
	case old.on && old.bcast != k.bcast:
		return refusal("ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.")
	case old.on && (k.optin && old.optout || k.optout && old.optin):
		return refusal("ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.")
	}
	if k.bcast && len(k.prefixes) == 0 && len(old.prefixes) == 0 {
		k.prefixes = []string{""}
	}
	if err := collides(old.prefixes, k.prefixes); err != nil {
		return err
	}
	if k.bcast {
		if _, err := s.view().MayWatch(nil, k.prefixes); err != nil {
			return noChannel(err)
		}
	}
	if !old.on {
		if err := s.chargeSubscription(""); err != nil {
			return err
		}
		if err := s.server.pumpStart(); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, prefix := range old.prefixes {
		if !slices.Contains(k.prefixes, prefix) {
			k.prefixes = append(k.prefixes, prefix)
		}
	}
	t.prefix += len(k.prefixes) - len(old.prefixes)
	k.found, k.own = make(map[string][]string), old.own
	p.tracked = k
	t.on[s] = p
	if k.bcast {
		t.bcast[s] = p
	}
	return nil
}

func (s *session) caching(word string) []byte {
	if s.what.Load() == nil {
		return wire.AppendError(nil, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	}
	p := s.what.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	k := &p.tracked
	switch {
	case !k.on || !k.optin && !k.optout:
		return wire.AppendError(nil, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	case word != "YES" && word != "NO":
		return errorText(errSyntax)
	case word == "YES" && !k.optin:
		return wire.AppendError(nil, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
	case word == "NO" && !k.optout:
		return wire.AppendError(nil, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
	}
	k.caching, k.answered = word == "YES", true
	return textOK
}

func (s *session) trackingInfo() []byte {
	var k tracked
	if s.what.Load() != nil {
		s.what.Load().mu.Lock()
		k = s.what.Load().tracked
		s.what.Load().mu.Unlock()
	}
	flags := []string{"off"}
	if k.on {
		flags[0] = "on"
	}
	for _, f := range []struct {
		set  bool
		name string
	}{
		{k.bcast, "bcast"}, {k.optin, "optin"}, {k.optin && k.answered && k.caching, "caching-yes"}, {k.optout, "optout"},
		{k.optout && k.answered && !k.caching, "caching-no"}, {k.noloop, "noloop"}, {k.broken, "broken_redirect"},
	} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	b := s.proto.Map(nil, 3)
	b = s.proto.Set(wire.AppendBulk(b, "flags"), len(flags))
	for _, f := range flags {
		b = wire.AppendBulk(b, f)
	}
	b = wire.AppendInt(wire.AppendBulk(b, "redirect"), s.what.Load().redirect())
	return appendStrings(wire.AppendBulk(b, "prefixes"), k.prefixes)
}
