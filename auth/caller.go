package auth

import (
	"sync"
	"sync/atomic"

	"keywatch/kv"
)

// Why a caller's standing ended, as streams say it.
const (
	Expired  = "expired"
	Revoked  = "revoked"
	Narrowed = "narrowed"
	Disabled = "disabled"
)

// A Caller is one credential as this server knows it. All requests, streams and sockets that come
// with the credential share it. It is safe for concurrent use.
type Caller struct {
	table *Table
	id    CredID
	kind  Kind
	user  string // id; empty for Anonymous
	// cred is nil once the credential is gone, and always for callers without a record.
	cred atomic.Pointer[credRecord]
	// parent is the caller whose credential a ticket was made with, bound what the ticket allows.
	parent *Caller
	bound  *Grants
	// expires is in milliseconds of wall time, 0 is never. It changes where a session is renewed.
	expires atomic.Int64
	epoch   kv.Epoch
	origin  string
	// proof is the hash of the password that was right, of a caller of kind Password; the id of the
	// record of the name that counts, of one of kind Certificate.
	proof string
	// token is what a caller of kind JWT has proved.
	token *Identity

	// day is the last day on which it is known to be used, as in credRecord.Used.
	day atomic.Int64

	// gen is the table's when standing was made.
	gen      atomic.Uint64
	standing atomic.Pointer[Standing]
	mu       sync.Mutex // held while standing is made
}

// A Standing is what a caller may do as of some moment. It is immutable: a caller whose standing
// is the same object may do the same.
type Standing struct {
	*Grants
	// Ended says why the credential is good for nothing any more: Expired, Revoked or Disabled;
	// empty while it is good.
	Ended string
	// Name is the name of the user, empty for Anonymous.
	Name string
	// Since counts the changes of the caller's standing.
	Since uint32

	roles []*roleState // what Grants were made of, with user
	user  *userState
	own   *credRecord
}

// Roles returns the names of the roles that the caller has, of those that exist.
func (s *Standing) Roles() []string {
	names := make([]string, 0, len(s.roles))
	for _, r := range s.roles {
		names = append(names, r.record.Name)
	}
	return names
}

// ID returns the id of the credential; zero for callers without one, and of kind Password.
func (c *Caller) ID() CredID { return c.id }

// Kind returns what the credential is.
func (c *Caller) Kind() Kind { return c.kind }

// User returns the id of the user; empty for Anonymous. It never changes, and names the user in
// leases, idempotency keys and audits.
func (c *Caller) User() string { return c.user }

// Expires returns when the credential ends, in milliseconds of wall time; 0 is never. A session that is
// renewed ends earlier.
func (c *Caller) Expires() int64 { return c.expires.Load() }

// Look returns what the caller may do now. It costs two atomic loads while nothing has changed.
func (c *Caller) Look() *Standing {
	if c.gen.Load() == c.table.gen.Load() {
		return c.standing.Load()
	}
	return c.refresh()
}

// refresh makes the standing again, and keeps the old object if it says the same.
func (c *Caller) refresh() *Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.table
	t.mu.RLock()
	defer t.mu.RUnlock()
	gen := t.gen.Load() // it changes under the lock only
	old := c.standing.Load()
	next := t.standingLocked(c, old)
	if next != old {
		if old != nil {
			next.Since = old.Since + 1
		}
		c.standing.Store(next)
	}
	c.gen.Store(gen)
	return next
}

// standingLocked returns what a caller may do; old if that is the same.
func (t *Table) standingLocked(c *Caller, old *Standing) *Standing {
	switch {
	case c.parent != nil:
		return t.ticketStandingLocked(c, old)
	case c.kind == Anonymous:
		return t.grantedLocked(nil, "", []string{anonymousRole}, nil, old)
	case c.kind == JWT:
		return t.tokenStandingLocked(c, old)
	}
	cred := c.cred.Load()
	u := t.mu.users[c.user]
	ended := ""
	switch {
	case c.kind.kept() && cred == nil, u == nil, c.kind == Session && c.epoch != t.mu.epoch,
		c.kind == Password && u.record.Password != c.proof, c.kind == Certificate && t.mu.certs[c.proof] != c.user:
		ended = Revoked
	case u.record.Disabled:
		ended = Disabled
	case c.expired(t.Now()):
		ended = Expired
	}
	if ended != "" {
		return endedStanding(ended, old)
	}
	return t.grantedLocked(u, u.record.Name, u.record.Roles, cred, old)
}

func (c *Caller) expired(now int64) bool {
	at := c.expires.Load()
	return at != 0 && at <= now
}

func endedStanding(why string, old *Standing) *Standing {
	if old != nil && old.Ended == why {
		return old
	}
	s := &Standing{Grants: new(Grants), Ended: why}
	if old != nil {
		s.Name = old.Name
	}
	return s
}

// ticketStandingLocked returns what a ticket allows: what it names, as far as its parent may.
func (t *Table) ticketStandingLocked(c *Caller, old *Standing) *Standing {
	parent := t.standingLocked(c.parent, c.parent.standing.Load())
	switch {
	case parent.Ended != "":
		return endedStanding(parent.Ended, old)
	case c.epoch != t.mu.epoch:
		return endedStanding(Revoked, old)
	case c.expired(t.Now()):
		return endedStanding(Expired, old)
	}
	if old != nil && old.Ended == "" && old.user == parent.user && old.own == parent.own && sameRoles(old.roles, parent.roles) {
		return old
	}
	return &Standing{Grants: c.bound.Within(parent.Grants), Name: parent.Name, roles: parent.roles, user: parent.user, own: parent.own}
}

// grantedLocked returns the standing of a user with roles, bounded by a credential's own grants; old if that
// was made of the same. u is nil for who is no user of this store.
func (t *Table) grantedLocked(u *userState, name string, names []string, cred *credRecord, old *Standing) *Standing {
	var roles []*roleState
	for _, name := range names {
		if r := t.mu.roles[name]; r != nil && len(roles) < RolesPerUser {
			roles = append(roles, r)
		}
	}
	if old != nil && old.Ended == "" && old.user == u && sameBound(old.own, cred) && sameRoles(old.roles, roles) {
		return old
	}
	s := &Standing{Name: name, roles: roles, user: u, own: cred}
	s.Grants = u.compiled(s.Name, roles)
	if cred != nil && cred.Bound {
		s.Grants = s.Grants.Within(NewGrants(s.Name, cred.Grants))
	}
	return s
}

// sameBound reports whether two records of one credential bound it alike.
func sameBound(a, b *credRecord) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a == b || !a.Bound && !b.Bound
}

func sameRoles(a, b []*roleState) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
