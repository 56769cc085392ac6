package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"keywatch/kv"
)

// A Condition is what a change expects of the version of a user or role. The zero Condition
// expects nothing.
type Condition struct {
	// Absent expects that there is none.
	Absent bool
	// Rev, if not 0, is the version expected.
	Rev kv.Rev
}

func (w Condition) holds(rev kv.Rev) bool {
	return !(w.Absent && rev != 0) && (w.Rev == 0 || w.Rev == rev)
}

// A Role is a role as answers show it.
type Role struct {
	Name   string  `json:"name"`
	Grants []Grant `json:"grants"`
	Rev    kv.Rev  `json:"-"`
}

// PutRole makes or replaces a role. made says that there was none. It fails with an error that
// matches ErrBadName, ErrBadRequest, ErrTooMany, ErrChanged, ErrLastAdmin, ErrBusy, or a
// *DeniedError, or as kv.Store.Do does; so do the other changes.
func (r *Registry) PutRole(ctx context.Context, by By, name string, grants []Grant, want Condition) (rev kv.Rev, made bool, err error) {
	if name, err = FoldName(name); err != nil {
		return 0, false, err
	}
	if len(grants) > GrantsMax {
		return 0, false, fmt.Errorf("%w: a role has at most %d grants", ErrBadRequest, GrantsMax)
	}
	result, err := r.run(ctx, by, isAdmin, func(c *change) error {
		t := r.table
		old := t.roleByName(name)
		rec := roleRecord{Name: name, Grants: slices.Clone(grants), Made: t.Now()}
		if rec.Grants == nil {
			rec.Grants = []Grant{}
		}
		var at kv.Rev
		if made = old == nil; !made {
			at, rec.Made = old.rev, old.record.Made
			c.command.Narrow = true // whether it narrows is not worth finding out: nothing is lost
		} else if t.count().roles >= RolesMax {
			return fmt.Errorf("%w: %d roles", ErrTooMany, RolesMax)
		}
		if !want.holds(at) {
			return ErrChanged
		}
		c.check(recordName(kindRole, t.nameID(name)), at)
		c.put(recordName(kindRole, t.nameID(name)), rec)
		return r.guardAdmins(c, func(l *lookout) { l.roles[name] = grants })
	})
	return result.Rev, made, err
}

// DeleteRole removes a role; users that have it may do less.
func (r *Registry) DeleteRole(ctx context.Context, by By, name string, want Condition) error {
	name = strings.ToLower(name)
	_, err := r.run(ctx, by, isAdmin, func(c *change) error {
		old := r.table.roleByName(name)
		if old == nil {
			return ErrNotFound
		}
		if !want.holds(old.rev) {
			return ErrChanged
		}
		record := recordName(kindRole, r.table.nameID(name))
		c.check(record, old.rev)
		c.remove(record)
		c.command.Narrow = true
		return r.guardAdmins(c, func(l *lookout) { delete(l.roles, name) })
	})
	return err
}

// Role returns a role by name; false if there is none.
func (r *Registry) Role(name string) (Role, bool) {
	s := r.table.roleByName(strings.ToLower(name))
	if s == nil {
		return Role{}, false
	}
	return Role{Name: s.record.Name, Grants: s.record.Grants, Rev: s.rev}, true
}

// Roles returns all roles by name.
func (r *Registry) Roles() (out []Role) {
	t := r.table
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, s := range t.mu.roles {
		out = append(out, Role{Name: s.record.Name, Grants: s.record.Grants, Rev: s.rev})
	}
	slices.SortFunc(out, func(a, b Role) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// A lookout is who would be an administrator after a change.
type lookout struct {
	roles map[string][]Grant
	users map[string]*userRecord // by id
}

// guardAdmins has a change fail with ErrLastAdmin if it leaves no enabled administrator. Of changes
// that touch an administrator one comes after the other.
func (r *Registry) guardAdmins(c *change, apply func(l *lookout)) error {
	t := r.table
	t.mu.RLock()
	l := &lookout{roles: make(map[string][]Grant), users: make(map[string]*userRecord)}
	for name, s := range t.mu.roles {
		l.roles[name] = s.record.Grants
	}
	for id, u := range t.mu.users {
		if len(u.record.Roles) > 0 {
			l.users[id] = u.record
		}
	}
	rev := t.mu.revs[adminsName] // of the same moment
	t.mu.RUnlock()
	before := l.admins()
	apply(l)
	after := l.admins()
	if slices.Equal(before, after) {
		return nil
	}
	if len(after) == 0 {
		return ErrLastAdmin
	}
	c.admins(rev)
	return nil
}

// admins returns the ids of the enabled administrators, in order.
func (l *lookout) admins() (ids []string) {
	for id, u := range l.users {
		if u.Disabled {
			continue
		}
		for _, role := range u.Roles {
			if slices.ContainsFunc(l.roles[role], func(g Grant) bool { return slices.Contains(g.Verbs, Admin) }) {
				ids = append(ids, id)
				break
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// counts are how many there are.
type counts struct{ users, roles, creds int }

func (t *Table) count() counts {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return counts{len(t.mu.users), len(t.mu.roles), len(t.mu.creds)}
}
