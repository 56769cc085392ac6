package resp

import (
	"strings"
	"sync"

	"keywatch/kv"
	"keywatch/watch"
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
		t.enterLocked(s, string(key), rev)
	}
	t.boundLocked()
}

func (t *tracking) enterLocked(s *session, key string, rev kv.Rev) {
	if t.keys[key] == nil {
		t.keys[key] = make(map[*session]kv.Rev, 1)
	}
	if _, had := t.keys[key][s]; !had {
		t.items++
		if t.mine[s] == nil {
			t.mine[s] = make(map[string]struct{})
		}
		t.mine[s][key] = struct{}{}
	}
	t.keys[key][s] = rev
}

// keep has a connection, which is not told of rev because it is its own, still be told of what happens to
// keys later: it may have read them in the same pipeline, behind the write.
func (t *tracking) keep(s *session, keys []string, rev kv.Rev) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, state := t.on[s], t.server.opts.Door.Server().State()
	if p == nil {
		return
	}
	for _, key := range keys {
		switch e, _ := state.Get(key); {
		case e != nil && e.Mod > rev:
			t.invalidate(s, p, []string{key}, e.Mod)
		case e == nil && state.Changed(key, rev):
			t.invalidate(s, p, []string{key}, 0)
		default:
			t.enterLocked(s, key, rev)
		}
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
	name := t.server.names.shown(m.Key)
	for s, p := range t.bcast {
		if !s.mayBeTold(true, m.Key) {
			continue // it is about to end
		}
		p.mu.Lock()
		k := &p.tracked
		for _, prefix := range k.prefixes {
			if strings.HasPrefix(name, prefix) {
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
	p.dropLocked(&s.hold, func(m *pushed) bool { return m.hold }) // who tracks nothing is told nothing
	p.mu.Unlock()
	t.mu.Unlock()
	t.server.pumpStop()
}
