package auth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"keywatch/kv"
)

// Bounds on what the registry holds.
const (
	RolesMax        = 1000
	UsersMax        = 10_000
	SessionsPerUser = 20
	// LabelMax bounds the label of a key, in bytes.
	LabelMax = 256
	// attempts bounds how often a change is tried because another came between.
	attempts = 8
)

var (
	// ErrBadRequest is matched by errors about what a request says.
	ErrBadRequest = errors.New("bad request")
	// ErrNotFound is returned for a user, role or credential that does not exist.
	ErrNotFound = errors.New("no such user, role or credential")
	// ErrExists is returned where a name is in use.
	ErrExists = errors.New("the name is in use")
	// ErrChanged is returned where a condition on the version of a user or role does not hold.
	ErrChanged = errors.New("it was changed meanwhile")
	// ErrLastAdmin is returned where no enabled administrator would be left.
	ErrLastAdmin = errors.New("no enabled administrator would be left")
	// ErrTooMany is matched by errors about a bound on users, roles or private records.
	ErrTooMany = errors.New("too many, which is fixed")
	// ErrBusy is returned where other changes came between too often; nothing was done.
	ErrBusy = errors.New("too many changes at once")
	// ErrWrongPassword is returned by a login that is not accepted, whatever the reason.
	ErrWrongPassword = errors.New("wrong user or password")
)

// A Proposer runs private commands on a state. *kv.Store is one.
type Proposer interface {
	Do(ctx context.Context, c *kv.Command) (kv.Result, error)
	State() *kv.State
}

// A Registry changes users, roles and credentials. It is safe for concurrent use.
type Registry struct {
	table *Table
	log   Proposer
	// synced returns once every command that was answered is durable, whatever the policy of the
	// log, and known to the table: a revocation that was answered must never be lost.
	synced    func(ctx context.Context) error
	Passwords *Passwords
	proven    proven
	// SessionTTL is how long a session lives.
	SessionTTL time.Duration
}

// DefaultSessionTTL is how long a session lives by default.
const DefaultSessionTTL = 12 * time.Hour

// NewRegistry returns a registry over a table. synced may be nil where every command is durable,
// and known to the table, once it is answered.
func NewRegistry(t *Table, log Proposer, synced func(ctx context.Context) error) *Registry {
	return &Registry{table: t, log: log, synced: synced, Passwords: NewPasswords(), SessionTTL: DefaultSessionTTL}
}

// Table returns the table.
func (r *Registry) Table() *Table { return r.table }

// A change collects one private command.
type change struct {
	registry *Registry
	command  kv.PrivateCommand
	err      error
}

func (c *change) check(name string, rev kv.Rev) {
	c.command.Checks = append(c.command.Checks, kv.PrivateCheck{Name: name, Rev: rev})
}

func (c *change) remove(name string) { c.command.Deletes = append(c.command.Deletes, name) }

// put seals v under a name.
func (c *change) put(name string, v any) {
	plain, err := json.Marshal(v)
	if err == nil {
		var sealed []byte
		if sealed, err = c.registry.table.sealer.Seal(name, plain); err == nil {
			c.command.Puts = append(c.command.Puts, kv.PrivateRecord{Name: name, Value: sealed})
		}
	}
	c.err = errors.Join(c.err, err)
}

// admins has the change count among those that may leave the store without an administrator, of
// which one comes after the other. rev is the revision of their record as of when it was looked
// who they are.
func (c *change) admins(rev kv.Rev) {
	c.check(adminsName, rev)
	c.put(adminsName, textRecord{Text: []byte("x")})
}

// By says on whose behalf a change is made. The zero By is no one, who may change nothing.
type By struct {
	caller *Caller
	server bool
}

// Server is the server itself.
var Server = By{server: true}

// By returns who changes are made on behalf of.
func (v View) By() By { return By{caller: v.who} }

// A permission is what a change requires of who makes it.
type permission func(s *Standing) bool

func isAdmin(s *Standing) bool { return s.Ended == "" && s.Can(Admin) }

func isGood(s *Standing) bool { return s.Ended == "" }

// errNotByJWT is returned for a change on behalf of who has a JWT, whatever roles it names: what it would make
// could outlive it.
var errNotByJWT = &DeniedError{Need: "an API key or a session", Index: -1}

// run makes a change and has it applied, again if another came between. make reads the table and
// fills the change. The caller's permission is looked at under the auth revision that the command
// carries, so that what was revoked meanwhile does nothing.
func (r *Registry) run(ctx context.Context, by By, may permission, make func(c *change) error) (kv.Result, error) {
	if by.caller != nil && by.caller.kind == JWT {
		return kv.Result{}, errNotByJWT
	}
	for range attempts {
		auth := r.table.AuthRev()
		if by.server {
			auth = 0
		} else if by.caller == nil || !may(by.caller.Look()) {
			return kv.Result{}, &DeniedError{Need: Admin.String(), Index: -1}
		}
		c := &change{registry: r}
		if err := cmp.Or(make(c), c.err, c.sealedStill()); err != nil {
			return kv.Result{}, err
		}
		result, err := r.log.Do(ctx, &kv.Command{Private: &c.command, Auth: auth})
		if err != nil {
			return result, err
		}
		switch result.Outcome {
		case kv.Committed:
			if r.synced != nil {
				err = r.synced(ctx)
			}
			return result, err
		case kv.PrivateFull:
			return result, fmt.Errorf("%w: users, roles and credentials take all of the room for them", ErrTooMany)
		}
		if r.synced != nil { // the table may be behind what came between
			err = r.synced(ctx)
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return result, err
		}
	}
	return kv.Result{}, ErrBusy
}

// sealedStill has the change expect that the data keys are there that its records are sealed with.
func (c *change) sealedStill() error {
	t := c.registry.table
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i := range c.command.Puts {
		p := &c.command.Puts[i]
		if kind, _ := cutRecord(p.Name); kind == kindDataK {
			continue
		}
		number, _, err := sealedWith(p.Name, p.Value)
		if err != nil {
			return err
		}
		if name := dataKeyName(number); !c.checks(name) {
			c.check(name, t.mu.deks[number])
		}
	}
	return nil
}

// checks reports whether the change has an expectation of a record.
func (c *change) checks(name string) bool {
	return slices.ContainsFunc(c.command.Checks, func(k kv.PrivateCheck) bool { return k.Name == name })
}

// hmacLocked returns the id of a record that a name leads to.
func (t *Table) hmacLocked(name string) string {
	m := hmac.New(sha256.New, t.mu.hmac)
	m.Write([]byte(name))
	return idEncoding.EncodeToString(m.Sum(nil)[:20])
}

func (t *Table) nameID(name string) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.hmacLocked(name)
}

// newID draws the id of a user.
func newID() string {
	var b [idBytes]byte
	rand.Read(b[:]) // never fails
	return userPrefix + idEncoding.EncodeToString(b[:])
}

// Bootstrap makes everything that the first start with authentication needs, unless it is there:
// data key, role admin, user admin, and an API key for it, which lives for ttl and whose secret is
// secret. made is false if there were records already.
func (r *Registry) Bootstrap(ctx context.Context, secret string, ttl time.Duration) (made bool, err error) {
	if _, err := CheckSecret(secret); err != nil {
		return false, err
	}
	if err := r.table.Err(); err != nil || !r.table.Empty() {
		return false, err
	}
	dek, ticket, names := NewDataKey(), NewDataKey(), NewDataKey()
	wrapped, err := r.table.opts.Wrapper.Wrap(recordName(kindDataK, "1"), dek)
	if err != nil {
		return false, err
	}
	sealer := NewSealer()
	if err := sealer.Add(1, dek); err != nil {
		return false, err
	}
	now, user := r.table.Now(), newID()
	first := &Table{sealer: sealer} // to seal what no other table can open yet
	first.mu.hmac = names
	c := &change{registry: &Registry{table: first}}
	c.check(recordName(kindDataK, "1"), 0)
	c.command.Narrow = true
	c.command.Puts = append(c.command.Puts, kv.PrivateRecord{Name: recordName(kindDataK, "1"), Value: wrapped})
	c.put(namesName, textRecord{Text: names})
	c.put(adminsName, textRecord{Text: []byte("x")})
	c.put(recordName(kindTicket, "1"), ticketRecord{Secret: ticket, Made: now})
	c.put(recordName(kindRole, first.hmacLocked(adminRole)), roleRecord{Name: adminRole, Grants: []Grant{{Verbs: []Verb{Admin}}}, Made: now})
	c.put(recordName(kindUser, user), userRecord{Name: adminRole, Roles: []string{adminRole}, Made: now})
	c.put(recordName(kindName, first.hmacLocked(adminRole)), textRecord{Text: []byte(user)})
	hash := HashOf(secret)
	c.put(recordName(kindCred, hash.ID().String()), credRecord{
		Kind: Key, User: user, Hash: hash[:], Label: "first administrator", Made: now, Expires: expiry(now, ttl),
	})
	if c.err != nil {
		return false, c.err
	}
	result, err := r.log.Do(ctx, &kv.Command{Private: &c.command})
	if err == nil && r.synced != nil {
		err = r.synced(ctx)
	}
	return result.Outcome == kv.Committed, err
}

// Recover makes an API key for an administrator, who is made or enabled if need be: for those who
// can start the server with its data and have lost every key.
func (r *Registry) Recover(ctx context.Context, secret string, ttl time.Duration) error {
	if _, err := CheckSecret(secret); err != nil {
		return err
	}
	_, err := r.run(ctx, Server, nil, func(c *change) error {
		t, now := r.table, r.table.Now()
		role := recordName(kindRole, t.nameID(adminRole))
		c.put(role, roleRecord{Name: adminRole, Grants: []Grant{{Verbs: []Verb{Admin}}}, Made: now})
		u := t.userByName(adminRole)
		rec, id := userRecord{Name: adminRole, Made: now}, newID()
		if u != nil {
			rec, id = *u.record, u.id
			c.check(recordName(kindUser, id), u.rev)
		} else {
			c.check(recordName(kindName, t.nameID(adminRole)), 0)
			c.put(recordName(kindName, t.nameID(adminRole)), textRecord{Text: []byte(id)})
		}
		rec.Disabled, rec.Roles = false, append(without(rec.Roles, adminRole), adminRole)
		c.put(recordName(kindUser, id), rec)
		c.command.Narrow = true
		hash := HashOf(secret)
		c.put(recordName(kindCred, hash.ID().String()), credRecord{
			Kind: Key, User: id, Hash: hash[:], Label: "recovery", Made: now, Expires: expiry(now, ttl),
		})
		return nil
	})
	return err
}

// Forget removes all users, roles and credentials: the store has no authentication any more.
func (r *Registry) Forget(ctx context.Context, all []string) error {
	for len(all) > 0 {
		n := min(len(all), kv.PrivateStepMax)
		c := kv.PrivateCommand{Deletes: all[:n], Narrow: true}
		if _, err := r.log.Do(ctx, &kv.Command{Private: &c}); err != nil {
			return err
		}
		all = all[n:]
	}
	if r.synced != nil {
		return r.synced(ctx)
	}
	return nil
}

func expiry(now int64, ttl time.Duration) int64 {
	if ttl == 0 {
		return 0
	}
	return now + ttl.Milliseconds()
}

func without(list []string, name string) (out []string) {
	for _, each := range list {
		if each != name {
			out = append(out, each)
		}
	}
	return out
}

func (t *Table) userByName(name string) *userState {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.names[name]
}

func (t *Table) userByID(id string) *userState {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.users[id]
}

func (t *Table) roleByName(name string) *roleState {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.roles[name]
}
