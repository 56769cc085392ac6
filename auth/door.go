package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"keywatch/kv"
	"keywatch/watch"
)

// ErrMoved is returned where permissions changed again and again while a request ran. Nothing was
// done, or shown.
var ErrMoved = errors.New("permissions changed while the request ran")

// tries is how often a request is decided because permissions changed while it ran.
const tries = 3

// A Door is the only way to a store and a hub. It is safe for concurrent use.
type Door struct {
	store *kv.Store
	hub   *watch.Hub
	table *Table
	// writes, if not nil, is told of each write.
	writes func(Written)
	// until, if not nil, closes a door without a table once it is used.
	until *Table
}

// ErrUsers is returned where a store that is served without authentication has got users. It matches kv.ErrStarting.
var ErrUsers = fmt.Errorf("%w: the store has users now, and this server runs without authentication: restart it", kv.ErrStarting)

// NewDoor returns a door to store and hub. With a nil table there is no authentication, and
// everyone may do everything.
func NewDoor(store *kv.Store, hub *watch.Hub, table *Table) *Door {
	return &Door{store: store, hub: hub, table: table}
}

// OpenUntil has a door without authentication show nothing to anyone once there are users, who can be made at other
// servers: then its views fail with ErrUsers. t is a table of the same store. It is called before the first View is
// made.
func (d *Door) OpenUntil(t *Table) { d.until = t }

// Shut returns ErrUsers once OpenUntil's table is used, else nil.
func (d *Door) Shut() error {
	if d.until != nil && d.until.Used() {
		return ErrUsers
	}
	return nil
}

// Table returns the table; nil if there is no authentication.
func (d *Door) Table() *Table { return d.table }

// Server returns the store for what a server does on its own behalf, such as giving a lock back
// whose caller has left, and for figures. Nothing of it may be shown to a caller.
func (d *Door) Server() *kv.Store { return d.store }

// Hub returns the hub for figures, for ending streams, and for what a server watches on its own behalf.
func (d *Door) Hub() *watch.Hub { return d.hub }

// As returns what c may use. c is nil where there is no authentication, and only there: As(nil)
// of a door with a table allows nothing.
func (d *Door) As(c *Caller) View { return View{door: d, who: c} }

// A View is the store and the hub as one caller may use them. It is small and can be copied.
type View struct {
	door *Door
	who  *Caller
	from *Origin // nil where writes are not audited
}

// open reports whether there is no authentication, so that everyone may do everything.
func (v View) open() bool { return v.door.table == nil && v.door.Shut() == nil }

// Caller returns the caller; nil where there is no authentication.
func (v View) Caller() *Caller { return v.who }

// User returns the id of the user: for whom leases and idempotency keys count. It is empty for
// callers without a credential.
func (v View) User() string {
	if v.who == nil {
		return ""
	}
	return v.who.user
}

// nothing is the standing of a caller that was forgotten.
var nothing = &Standing{Grants: new(Grants), Ended: Revoked}

// look returns what the caller may do, and an error if its credential ended, or if what is known of it
// is old.
func (v View) look() (*Standing, error) {
	if v.door.table != nil && v.door.table.behind.Load() {
		return nothing, kv.ErrNoLeader
	}
	return v.lookNear()
}

// lookNear is look that may be told by what is old.
func (v View) lookNear() (*Standing, error) {
	if v.door.table == nil {
		return nothing, ErrUsers // else it is open
	}
	if v.who == nil {
		return nothing, &FailedError{Reason: Missing}
	}
	if err := v.who.fail(); err != nil {
		return nothing, err
	}
	return v.who.Look(), nil
}

// retry runs read until the pass that it was given holds afterwards too.
func retry(may func() (Pass, error), read func() error) error {
	for range tries {
		p, err := may()
		if err == nil {
			err = read()
		}
		if err != nil {
			return err
		}
		if err := p.Still(); err != ErrMoved {
			return err
		}
	}
	return ErrMoved
}

// behind returns why nothing may be shown that this server has and did not ask others about, nil if it may.
func (v View) behind() error {
	if v.door.table == nil || v.door.table.opts.Behind == nil {
		return nil
	}
	return v.door.table.opts.Behind()
}

// Get is kv.Store.GetIf for a key that the caller may read; local reads from what this server has.
func (v View) Get(ctx context.Context, key string, local bool, may func(size int) error) (e *kv.Entry, at kv.Position, err error) {
	if local {
		if err := v.behind(); err != nil {
			return nil, at, err
		}
	}
	for range tries {
		p, err := v.MayKey(Read, key)
		if err != nil {
			return nil, at, err
		}
		if local {
			e, at, err = v.door.store.ReadIf(ctx, key, may)
		} else {
			e, at, err = v.door.store.GetIf(ctx, key, may)
		}
		if err != nil {
			return e, at, err
		}
		if err = p.Still(); err == nil {
			return e, at, nil
		} else if err != ErrMoved {
			return nil, at, err
		}
	}
	return nil, at, ErrMoved
}

// Snapshot is kv.Store.Snapshot for what begins with prefix, and nothing else may be read of it.
// Before each piece of it is shown the pass is asked whether it still holds.
func (v View) Snapshot(ctx context.Context, prefix string, local bool) (snap *kv.Snapshot, p Pass, err error) {
	if p, err = v.MayUnder(Read, prefix); err != nil {
		return nil, p, err
	}
	if local {
		if err := v.behind(); err != nil {
			return nil, p, err
		}
		snap, err = v.door.store.LocalSnapshot()
	} else {
		snap, err = v.door.store.Snapshot(ctx)
	}
	return snap, p, err
}

// owners says which leases are the caller's.
type owners struct {
	ctx  context.Context
	view View
}

// OwnLease implements Owners.
func (o owners) OwnLease(id kv.LeaseID) bool {
	own, known := o.view.owns(id)
	if !known && o.view.door.store.Barrier(o.ctx) == nil { // it may have been granted elsewhere
		own, _ = o.view.owns(id)
	}
	return own
}

// owns reports whether a lease is the caller's, and whether it is known here.
func (v View) owns(id kv.LeaseID) (own, known bool) {
	owner, known := v.door.store.State().LeaseOwner(id)
	return known && (owner == v.who.user || v.who.user == "" && !isUser(owner)), known
}

// userPrefix begins the id of a user.
const userPrefix = "u-"

// isUser reports whether a lease's owner is a user: others are addresses.
func isUser(owner string) bool {
	return len(owner) > len(userPrefix) && strings.HasPrefix(owner, userPrefix)
}

// OwnLock implements Owners. A token that no lock has is anyone's: what names it ends with
// kv.LockLost.
func (o owners) OwnLock(name string, token kv.Rev) bool {
	store := o.view.door.store
	for attempt := 0; ; attempt++ {
		e, _ := store.State().Get(kv.LockKey(name))
		if e != nil && e.Create == token {
			own, _ := o.view.owns(e.Lease())
			return own
		}
		if attempt > 0 || store.Barrier(o.ctx) != nil {
			return true
		}
	}
}

// Do is kv.Store.Do for a command that the caller may give. What it may not read of the result is
// removed. It fails with a *DeniedError, *FailedError or ErrMoved too; a lease of another caller
// gives the result of one that does not exist.
func (v View) Do(ctx context.Context, c *kv.Command) (kv.Result, error) {
	if v.open() {
		r, err := v.door.store.Do(ctx, c)
		return v.shown(c, r, err)
	}
	for range tries {
		s, err := v.admit(ctx, c)
		if err != nil {
			return notOwn(err, v.door.store)
		}
		r, err := v.door.store.Do(ctx, c)
		v.did(c, r, err)
		if err != nil {
			return r, err
		}
		if r.Outcome == kv.AuthMoved || c.ReadOnly() && v.who.Look() != s {
			continue
		}
		s.Redact(c, &r)
		return r, nil
	}
	return kv.Result{}, ErrMoved
}

// shown returns the result of a command that an open door has run. What was only read is not shown if the door was shut
// meanwhile.
func (v View) shown(c *kv.Command, r kv.Result, err error) (kv.Result, error) {
	if err == nil && c.ReadOnly() {
		err = v.door.Shut()
	}
	if err != nil {
		return kv.Result{}, err
	}
	return r, nil
}

// admit says whether c may be proposed, and has it carry the auth revision under which it may.
func (v View) admit(ctx context.Context, c *kv.Command) (*Standing, error) {
	if v.door.table == nil {
		return nothing, ErrUsers
	}
	auth := v.door.table.AuthRev() // before the look: a change between makes the command do nothing
	s, err := v.look()
	if err == nil {
		err = v.deny(s.Command(c, owners{ctx, v}))
	}
	c.Auth = auth
	return s, err
}

// notOwn makes the result of a lease that does not exist of a *NotOwnError.
func notOwn(err error, store *kv.Store) (kv.Result, error) {
	not, ok := errors.AsType[*NotOwnError](err)
	if !ok {
		return kv.Result{}, err
	}
	state := store.State()
	return kv.Result{Outcome: not.Outcome, Failed: not.Failed, At: state.Position(), Time: state.Time()}, nil
}

// Begin is kv.Store.Begin for a command that the caller may give. Its result may be kv.AuthMoved: a
// command that was begun before others is not decided again.
func (v View) Begin(ctx context.Context, c *kv.Command) (kv.Pending, error) {
	if v.open() {
		p, err := v.door.store.Begin(ctx, c)
		if err == nil && c.ReadOnly() && v.door.until != nil {
			p = &shownLater{p, v, c}
		}
		return p, err
	}
	s, err := v.admit(ctx, c)
	if err != nil {
		r, err := notOwn(err, v.door.store)
		if err != nil {
			return nil, err
		}
		return settled{result: r}, nil
	}
	p, err := v.door.store.Begin(ctx, c)
	if err != nil {
		return nil, err
	}
	v.wrote(c, p)
	return &redacted{p, v, s, c}, nil
}

// Lease is kv.Store.Lease for a lease of the caller; one of another does not exist for it.
func (v View) Lease(ctx context.Context, id kv.LeaseID) (info kv.LeaseInfo, ok bool, err error) {
	err = retry(func() (Pass, error) { return v.May(Lease) }, func() (err error) {
		info, ok, err = v.door.store.Lease(ctx, id)
		return err
	})
	if err != nil || !ok || v.door.table == nil || v.who.Look().Can(Admin) {
		return info, ok, err
	}
	if own, _ := v.owns(id); !own {
		return kv.LeaseInfo{}, false, nil
	}
	return info, true, nil
}

// Lock is kv.State.Lock after a barrier, for who may read the keys of the lock and of its queue.
func (v View) Lock(ctx context.Context, name string, most int) (info kv.LockInfo, err error) {
	may := func() (Pass, error) {
		return v.pass(func(s *Standing) error {
			if !s.Key(Read, kv.LockKey(name)) {
				return denied(Read, kv.LockKey(name), -1)
			}
			return s.needUnder(Read, kv.QueuePrefix(name))
		})
	}
	err = retry(may, func() error {
		if err := v.door.store.Barrier(ctx); err != nil {
			return err
		}
		info = v.door.store.State().Lock(name, most)
		return nil
	})
	return info, err
}

// Watch is watch.Hub.Watch for names that the caller may read and watch. What it polls may be
// shown only if the pass still holds afterwards, or one for the same names was given again.
func (v View) Watch(r watch.Request) (w *watch.Watcher, p Pass, err error) {
	if p, err = v.MayWatch(r.Keys, r.Prefixes); err == nil {
		err = v.behind()
	}
	if err != nil {
		return nil, p, err
	}
	w, err = v.door.hub.Watch(r)
	return w, p, err
}

// Open is watch.Hub.Open for names that the caller may read and watch: see Watch.
func (v View) Open(w *watch.Watcher, r watch.Request) (p Pass, err error) {
	if p, err = v.MayWatch(r.Keys, r.Prefixes); err == nil {
		err = v.behind()
	}
	if err != nil {
		return p, err
	}
	return p, v.door.hub.Open(w, r)
}
