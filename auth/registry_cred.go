package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"keywatch/kv"
)

// A KeySpec is what an API key is made of.
type KeySpec struct {
	// User is the name of its owner.
	User  string
	Label string
	// Grants bound what the owner's roles allow, if Bound is set.
	Grants []Grant
	Bound  bool
	// TTL is how long it lives, 0 for ever.
	TTL      time.Duration
	Metadata json.RawMessage
	// Hash, if not nil, is that of a secret that was made elsewhere: the server never sees it.
	Hash *Hash
}

// A Cred is a credential as answers show it.
type Cred struct {
	ID       string          `json:"id"`
	Kind     string          `json:"kind"`
	User     string          `json:"user"`
	Label    string          `json:"label,omitempty"`
	Grants   []Grant         `json:"grants,omitempty"`
	Expires  int64           `json:"expires_ms,omitempty"`
	Made     int64           `json:"made_ms"`
	Used     string          `json:"last_used,omitempty"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// AddKey makes an API key and returns its secret, which is shown once; it is empty if the request
// brought a hash. Made again with the same hash it is the same key.
func (r *Registry) AddKey(ctx context.Context, by By, spec KeySpec) (secret string, cred Cred, err error) {
	if len(spec.Label) > LabelMax || len(spec.Grants) > GrantsMax || spec.TTL < 0 {
		return "", cred, fmt.Errorf("%w: a key has a label of at most %d bytes and at most %d grants", ErrBadRequest, LabelMax, GrantsMax)
	}
	if err := checkMetadata(spec.Metadata); err != nil {
		return "", cred, err
	}
	var hash Hash
	if spec.Hash != nil {
		hash = *spec.Hash
	} else {
		secret = NewSecret(Key)
		hash = HashOf(secret)
	}
	name := recordName(kindCred, hash.ID().String())
	_, err = r.run(ctx, by, by.mayMakeKey(spec.User), func(c *change) error {
		t := r.table
		u := t.userByName(strings.ToLower(spec.User))
		if u == nil {
			return ErrNotFound
		}
		c.check(recordName(kindUser, u.id), u.rev)
		c.check(name, 0)
		if old := t.credByID(hash.ID()); old != nil {
			return ErrExists
		}
		now := t.Now()
		c.put(name, credRecord{
			Kind: Key, User: u.id, Hash: hash[:], Label: spec.Label, Grants: spec.Grants, Bound: spec.Bound,
			Made: now, Expires: expiry(now, spec.TTL), Metadata: spec.Metadata,
		})
		return nil
	})
	if errors.Is(err, ErrExists) && spec.Hash != nil {
		err = nil
	}
	if err != nil {
		return "", cred, err
	}
	cred, _ = r.Cred(hash.ID())
	return secret, cred, nil
}

// mayMakeKey returns who may make a key for a user: an administrator, and the user's own sessions.
// No key makes another, unless it is an administrator's.
func (by By) mayMakeKey(user string) permission {
	return func(s *Standing) bool {
		own := by.caller.kind == Session && s.Ended == "" && s.Name == strings.ToLower(user)
		return own || isAdmin(s)
	}
}

func (t *Table) credByID(id CredID) *Caller {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.creds[id]
}

// Cred returns a credential by id; false if there is none.
func (r *Registry) Cred(id CredID) (Cred, bool) {
	c := r.table.credByID(id)
	if c == nil {
		return Cred{}, false
	}
	return r.table.shown(c)
}

func (t *Table) shown(c *Caller) (Cred, bool) {
	rec := c.cred.Load()
	if rec == nil {
		return Cred{}, false
	}
	out := Cred{
		ID: c.id.String(), Kind: c.kind.String(), Label: rec.Label, Expires: rec.Expires, Made: rec.Made, Metadata: rec.Metadata,
	}
	if rec.Bound {
		out.Grants = rec.Grants
	}
	if rec.Used != 0 {
		out.Used = time.Unix(rec.Used*secondsPerDay, 0).UTC().Format(time.DateOnly)
	}
	if u := t.userByID(c.user); u != nil {
		out.User = u.record.Name
	}
	return out, true
}

const secondsPerDay = 24 * 60 * 60

// Creds returns the credentials of a kind, those of one user if a name is given, by id, after an
// id, at most n.
func (r *Registry) Creds(kind Kind, user, after string, n int) (out []Cred, more bool) {
	t := r.table
	owner := ""
	if user != "" {
		u := t.userByName(strings.ToLower(user))
		if u == nil {
			return nil, false
		}
		owner = u.id
	}
	t.mu.RLock()
	var all []*Caller
	for _, c := range t.mu.creds {
		if c.kind == kind && (owner == "" || c.user == owner) && c.id.String() > after {
			all = append(all, c)
		}
	}
	t.mu.RUnlock()
	slices.SortFunc(all, func(a, b *Caller) int { return strings.Compare(a.id.String(), b.id.String()) })
	for _, c := range all[:min(n, len(all))] {
		if shown, ok := t.shown(c); ok {
			out = append(out, shown)
		}
	}
	return out, len(all) > n
}

// Revoke ends a credential of a kind: a session one of its own user, an administrator any, and each
// caller its own. Others do not exist for it.
func (r *Registry) Revoke(ctx context.Context, by By, kind Kind, id CredID) error {
	_, err := r.run(ctx, by, isGood, func(c *change) error {
		cred := r.table.credByID(id)
		if cred == nil || cred.kind != kind {
			return ErrNotFound
		}
		if !by.server && !by.caller.mayRevoke(cred) {
			return ErrNotFound
		}
		c.remove(recordName(kindCred, id.String()))
		c.command.Narrow = true
		return nil
	})
	return err
}

func (c *Caller) mayRevoke(cred *Caller) bool {
	own := c.kind == Session && c.user == cred.user || c.kind == Key && c.id == cred.id
	return own || isAdmin(c.Look())
}

// Login makes a session for a user who has a password. It fails with ErrWrongPassword whatever the
// reason, ErrLoginBusy, or as other changes do. It takes as long for a user who does not exist.
func (r *Registry) Login(ctx context.Context, name, password string) (secret string, c *Caller, err error) {
	if r.synced != nil { // who was made at another server is known then
		if err := r.synced(ctx); err != nil {
			return "", nil, err
		}
	}
	folded, _ := FoldName(name)
	u := r.table.userByName(folded)
	hash := ""
	if u != nil && !u.record.Disabled {
		hash = u.record.Password
	}
	ok, fresh, err := r.Passwords.Verify(ctx, hash, password)
	if err != nil {
		return "", nil, err
	}
	if !ok {
		return "", nil, ErrWrongPassword
	}
	return r.newSession(ctx, u, fresh)
}

// newSession makes a session for a user whose password was right; fresh, if not empty, is a better
// hash of it.
func (r *Registry) newSession(ctx context.Context, u *userState, fresh string) (secret string, who *Caller, err error) {
	secret = NewSecret(Session)
	hash := HashOf(secret)
	_, err = r.run(ctx, Server, nil, func(c *change) error {
		t := r.table
		now := t.userByID(u.id)
		if now == nil || now.record.Disabled || now.record.Password != u.record.Password {
			return ErrWrongPassword
		}
		if fresh != "" {
			rec := *now.record
			rec.Password = fresh
			c.put(recordName(kindUser, u.id), rec)
		}
		c.check(recordName(kindUser, u.id), now.rev)
		r.addSession(c, u.id, hash)
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	return secret, r.table.credByID(hash.ID()), nil
}

// addSession puts a session, and ends the user's oldest if there are too many.
func (r *Registry) addSession(c *change, user string, hash Hash) {
	t := r.table
	t.mu.RLock()
	epoch := t.mu.epoch
	t.mu.RUnlock()
	now := t.Now()
	var sessions []*Caller
	for _, s := range t.credsOf(user) {
		if s.kind == Session {
			sessions = append(sessions, s)
		}
	}
	for i, s := range sessions {
		void, many := s.expired(now) || s.epoch != epoch, i < len(sessions)-(SessionsPerUser-1)
		if void || many {
			c.remove(recordName(kindCred, s.id.String()))
		}
		if many && !void {
			c.command.Narrow = true
		}
	}
	c.put(recordName(kindCred, hash.ID().String()), credRecord{
		Kind: Session, User: user, Hash: hash[:], Made: now, Expires: expiry(now, r.SessionTTL), Epoch: uint32(epoch),
	})
}

// renewGrace is how long a session lives after it was renewed.
const renewGrace = time.Minute

// Renew makes a session in the place of one, which lives a minute longer.
func (r *Registry) Renew(ctx context.Context, by By) (secret string, who *Caller, err error) {
	old := by.caller
	if old == nil || old.kind != Session {
		return "", nil, fmt.Errorf("%w: only a session can be renewed", ErrBadRequest)
	}
	secret = NewSecret(Session)
	hash := HashOf(secret)
	_, err = r.run(ctx, by, isGood, func(c *change) error {
		rec := old.cred.Load()
		if rec == nil {
			return ErrNotFound
		}
		r.addSession(c, old.user, hash)
		c.command.Deletes = without(c.command.Deletes, recordName(kindCred, old.id.String()))
		short := *rec
		short.Expires = min(rec.Expires, expiry(r.table.Now(), renewGrace))
		c.put(recordName(kindCred, old.id.String()), short)
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	return secret, r.table.credByID(hash.ID()), nil
}

// Logout ends the caller's session or, if all is set, all sessions of its user.
func (r *Registry) Logout(ctx context.Context, by By, all bool) error {
	if by.caller == nil {
		return &FailedError{Reason: Missing}
	}
	_, err := r.run(ctx, by, isGood, func(c *change) error {
		if by.caller.kind == Session {
			c.remove(recordName(kindCred, by.caller.id.String()))
		}
		if all {
			r.endSessions(c, by.caller.user, by.caller.id)
		}
		if len(c.command.Deletes) == 0 {
			return fmt.Errorf("%w: the credential is no session", ErrBadRequest)
		}
		c.command.Narrow = true
		return nil
	})
	return err
}

// SetPassword changes the password of the caller's own user, and ends its other sessions.
func (r *Registry) SetPassword(ctx context.Context, by By, old, password string) error {
	if by.caller == nil || by.caller.kind != Session {
		return fmt.Errorf("%w: only a session can change its password", ErrBadRequest)
	}
	u := r.table.userByID(by.caller.user)
	if u == nil {
		return ErrNotFound
	}
	ok, _, err := r.Passwords.Verify(ctx, u.record.Password, old)
	if err != nil {
		return err
	}
	if !ok {
		return ErrWrongPassword
	}
	hash, err := r.Passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	_, err = r.run(ctx, by, isGood, func(c *change) error {
		now := r.table.userByID(u.id)
		if now == nil || now.record.Password != u.record.Password {
			return ErrChanged
		}
		rec := *now.record
		rec.Password = hash
		c.check(recordName(kindUser, u.id), now.rev)
		c.put(recordName(kindUser, u.id), rec)
		r.endSessions(c, u.id, by.caller.id)
		c.command.Narrow = true
		return nil
	})
	return err
}

var _ Proposer = (*kv.Store)(nil)
