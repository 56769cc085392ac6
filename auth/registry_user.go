package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"keywatch/kv"
)

// A UserSpec is what a user is made of, or changed to. In a change a nil field stays as it is.
type UserSpec struct {
	Roles    *[]string
	Certs    *[]string
	Disabled *bool
	Metadata *json.RawMessage
	// Password is a new password, Hash the hash of one that is imported; at most one of them.
	Password, Hash *string
}

// A User is a user as answers show it. It has no password, and says whether there is one.
type User struct {
	Name     string          `json:"name"`
	ID       string          `json:"id"`
	Roles    []string        `json:"roles"`
	Certs    []string        `json:"certificates,omitempty"`
	Disabled bool            `json:"disabled,omitempty"`
	Password bool            `json:"password"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
	Rev      kv.Rev          `json:"-"`
}

func (u *userState) shown() User {
	r := u.record
	roles := r.Roles
	if roles == nil {
		roles = []string{}
	}
	return User{Name: r.Name, ID: u.id, Roles: roles, Certs: r.Certs, Disabled: r.Disabled, Password: r.Password != "", Metadata: r.Metadata, Rev: u.rev}
}

// User returns a user by name; false if there is none.
func (r *Registry) User(name string) (User, bool) {
	u := r.table.userByName(strings.ToLower(name))
	if u == nil {
		return User{}, false
	}
	return u.shown(), true
}

// Users returns users by name, those after a name, at most n.
func (r *Registry) Users(after string, n int) (out []User, more bool) {
	t := r.table
	t.mu.RLock()
	var all []*userState
	for _, u := range t.mu.users {
		if u.record.Name > after {
			all = append(all, u)
		}
	}
	t.mu.RUnlock()
	slices.SortFunc(all, func(a, b *userState) int { return strings.Compare(a.record.Name, b.record.Name) })
	for _, u := range all[:min(n, len(all))] {
		out = append(out, u.shown())
	}
	return out, len(all) > n
}

// validate checks what a request says of a user, and folds the names in it.
func (s *UserSpec) validate() error {
	if s.Password != nil && s.Hash != nil {
		return fmt.Errorf("%w: a password and the hash of one exclude each other", ErrBadRequest)
	}
	if s.Hash != nil {
		if err := CheckHash(*s.Hash); err != nil {
			return err
		}
	}
	if s.Metadata != nil {
		if err := checkMetadata(*s.Metadata); err != nil {
			return err
		}
	}
	if s.Certs != nil {
		names, err := foldCerts(*s.Certs)
		if err != nil {
			return err
		}
		s.Certs = &names
	}
	if s.Roles == nil {
		return nil
	}
	if len(*s.Roles) > RolesPerUser {
		return fmt.Errorf("%w: a user has at most %d roles", ErrBadRequest, RolesPerUser)
	}
	roles := make([]string, 0, len(*s.Roles))
	for _, name := range *s.Roles {
		name, err := FoldName(name)
		if err != nil {
			return err
		}
		if !slices.Contains(roles, name) {
			roles = append(roles, name)
		}
	}
	s.Roles = &roles
	return nil
}

func checkMetadata(m json.RawMessage) error {
	if len(m) > MetadataMax || len(m) > 0 && !json.Valid(m) {
		return fmt.Errorf("%w: metadata must be JSON of at most %d bytes", ErrBadRequest, MetadataMax)
	}
	return nil
}

// AddUser makes a user. It fails with ErrExists if the name is in use.
func (r *Registry) AddUser(ctx context.Context, by By, name string, spec UserSpec) (User, error) {
	name, err := FoldName(name)
	if err == nil {
		err = spec.validate()
	}
	if err != nil {
		return User{}, err
	}
	hash, err := r.hashOf(ctx, &spec)
	if err != nil {
		return User{}, err
	}
	id := newID()
	_, err = r.run(ctx, by, isAdmin, func(c *change) error {
		t := r.table
		if t.userByName(name) != nil {
			return ErrExists
		}
		if t.count().users >= UsersMax {
			return fmt.Errorf("%w: %d users", ErrTooMany, UsersMax)
		}
		rec := userRecord{Name: name, Made: t.Now()}
		if err := r.fill(c, &rec, &spec, hash, id); err != nil {
			return err
		}
		index := recordName(kindName, t.nameID(name))
		c.check(index, 0)
		c.put(index, textRecord{Text: []byte(id)})
		c.put(recordName(kindUser, id), rec)
		return r.guardAdmins(c, func(l *lookout) { l.users[id] = &rec })
	})
	if err != nil {
		return User{}, err
	}
	u, _ := r.User(name)
	return u, nil
}

// hashOf returns the hash of the password that a request sets, empty if it sets none.
func (r *Registry) hashOf(ctx context.Context, spec *UserSpec) (string, error) {
	switch {
	case spec.Hash != nil:
		return *spec.Hash, nil
	case spec.Password != nil:
		return r.Passwords.Hash(ctx, *spec.Password)
	}
	return "", nil
}

// fill changes a record to what a request says, and the records of the certificates.
func (r *Registry) fill(c *change, rec *userRecord, spec *UserSpec, hash, id string) error {
	if spec.Roles != nil {
		rec.Roles = *spec.Roles
	}
	if spec.Disabled != nil {
		rec.Disabled = *spec.Disabled
	}
	if spec.Metadata != nil {
		rec.Metadata = *spec.Metadata
	}
	if hash != "" {
		rec.Password = hash
	}
	if spec.Certs == nil {
		return nil
	}
	t := r.table
	for _, name := range *spec.Certs {
		if slices.Contains(rec.Certs, name) {
			continue
		}
		record := recordName(kindCert, t.nameID(name))
		t.mu.RLock()
		taken := t.mu.revs[record] != 0
		t.mu.RUnlock()
		if taken {
			return fmt.Errorf("%w: certificate %.80q", ErrExists, name)
		}
		c.check(record, 0)
		c.put(record, textRecord{Text: []byte(id)})
	}
	for _, name := range rec.Certs {
		if !slices.Contains(*spec.Certs, name) {
			c.remove(recordName(kindCert, t.nameID(name)))
			c.command.Narrow = true
		}
	}
	rec.Certs = *spec.Certs
	return nil
}

// SetUser changes a user. A new password ends the user's sessions.
func (r *Registry) SetUser(ctx context.Context, by By, name string, spec UserSpec, want Condition) (User, error) {
	name = strings.ToLower(name)
	if err := spec.validate(); err != nil {
		return User{}, err
	}
	hash, err := r.hashOf(ctx, &spec)
	if err != nil {
		return User{}, err
	}
	_, err = r.run(ctx, by, isAdmin, func(c *change) error {
		u := r.table.userByName(name)
		if u == nil {
			return ErrNotFound
		}
		if !want.holds(u.rev) {
			return ErrChanged
		}
		rec := *u.record
		if err := r.fill(c, &rec, &spec, hash, u.id); err != nil {
			return err
		}
		c.check(recordName(kindUser, u.id), u.rev)
		c.put(recordName(kindUser, u.id), rec)
		c.command.Narrow = true
		if hash != "" {
			r.endSessions(c, u.id, CredID{})
		}
		return r.guardAdmins(c, func(l *lookout) { l.users[u.id] = &rec })
	})
	if err != nil {
		return User{}, err
	}
	u, _ := r.User(name)
	return u, nil
}

// endSessions has a change end the sessions of a user, but for one.
func (r *Registry) endSessions(c *change, user string, but CredID) {
	for _, s := range r.table.credsOf(user) {
		if s.kind == Session && s.id != but && len(c.command.Deletes) < kv.PrivateStepMax-8 {
			c.remove(recordName(kindCred, s.id.String()))
			c.command.Narrow = true
		}
	}
}

// credsOf returns the credentials of a user, the oldest first.
func (t *Table) credsOf(user string) (out []*Caller) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, c := range t.mu.creds {
		if c.user == user {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *Caller) int {
		x, y := a.cred.Load(), b.cred.Load()
		if x.Made != y.Made {
			return int(x.Made - y.Made)
		}
		return strings.Compare(string(a.id[:]), string(b.id[:]))
	})
	return out
}

// DeleteUser removes a user with all its credentials. One that is made again under the name is
// another user.
func (r *Registry) DeleteUser(ctx context.Context, by By, name string, want Condition) error {
	name = strings.ToLower(name)
	_, err := r.run(ctx, by, isAdmin, func(c *change) error {
		t := r.table
		u := t.userByName(name)
		if u == nil {
			return ErrNotFound
		}
		if !want.holds(u.rev) {
			return ErrChanged
		}
		c.check(recordName(kindUser, u.id), u.rev)
		c.remove(recordName(kindUser, u.id))
		c.remove(recordName(kindName, t.nameID(name)))
		for _, cert := range u.record.Certs {
			c.remove(recordName(kindCert, t.nameID(cert)))
		}
		for _, cred := range t.credsOf(u.id) { // what does not fit is swept later: without its user it is good for nothing
			if len(c.command.Deletes) < kv.PrivateStepMax {
				c.remove(recordName(kindCred, cred.id.String()))
			}
		}
		c.command.Narrow = true
		return r.guardAdmins(c, func(l *lookout) { delete(l.users, u.id) })
	})
	return err
}
