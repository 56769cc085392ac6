package auth

import (
	"sync"

	"keywatch/kv"
)

// GetNow is Get that fails with kv.ErrWouldWait where that would wait.
func (v View) GetNow(key string) (*kv.Entry, kv.Position, error) {
	p, err := v.MayKey(Read, key)
	if err != nil {
		return nil, kv.Position{}, err
	}
	e, at, err := v.door.store.GetNow(key)
	if err == nil && p.Still() != nil {
		return nil, kv.Position{}, kv.ErrWouldWait
	}
	return e, at, err
}

// DoNow is Do for a command that only reads. It fails with kv.ErrWouldWait where that would wait,
// and for any other command. With meta set values may be missing: see kv.Store.DoNow.
func (v View) DoNow(c *kv.Command, meta bool) (kv.Result, error) {
	return v.readNow(c, meta, v.door.store.DoNow)
}

// readNow has read run a command that only reads, and shows what the caller may read.
func (v View) readNow(c *kv.Command, meta bool, read func(*kv.Command, bool) (kv.Result, error)) (kv.Result, error) {
	if v.open() {
		r, err := read(c, meta)
		return v.shown(c, r, err)
	}
	s, err := v.admitNow(c)
	if err != nil {
		return kv.Result{}, err
	}
	r, err := read(c, meta)
	if err != nil {
		return r, err
	}
	if v.who.Look() != s {
		return kv.Result{}, kv.ErrWouldWait
	}
	s.Redact(c, &r)
	return r, nil
}

// StartNow is Begin that fails with kv.ErrWouldWait where that would wait, and for commands that
// only read.
func (v View) StartNow(c *kv.Command) (Started, error) {
	if v.open() {
		begun, err := v.door.store.BeginNow(c)
		return Started{Begun: begun}, err
	}
	s, err := v.admitNow(c)
	if err != nil {
		return Started{}, err
	}
	begun, err := v.door.store.BeginNow(c)
	if err == nil && v.from != nil {
		v.wrote(c, begun)
	}
	return Started{begun, s, v}, err
}

// A Started is a kv.Begun without what the caller may not read. Its result may be kv.AuthMoved.
type Started struct {
	kv.Begun
	standing *Standing
	view     View
}

// Result implements kv.Pending.
func (p Started) Result() (kv.Result, error) {
	r, err := p.Begun.Result()
	p.view.repeated(p.Command(), p.Begun.Pending, r, err)
	return p.redact(r, err)
}

// ResultNow is kv.Begun.ResultNow.
func (p Started) ResultNow() (kv.Result, error) { return p.redact(p.Begun.ResultNow()) }

func (p Started) redact(r kv.Result, err error) (kv.Result, error) {
	if err == nil && p.standing != nil {
		p.standing.Redact(p.Command(), &r)
	}
	return r, err
}

// admitNow is admit that fails with kv.ErrWouldWait where that would wait, or where the command
// names a lease that is not the caller's.
func (v View) admitNow(c *kv.Command) (*Standing, error) {
	if v.door.table == nil {
		return nothing, ErrUsers
	}
	auth := v.door.table.AuthRev() // before the look: see admit
	s, err := v.look()
	if err != nil {
		return s, err
	}
	own := ownersOf.Get().(*ownersNow)
	own.view = v
	err = s.Command(c, own)
	own.view = View{}
	ownersOf.Put(own)
	if err != nil {
		if _, not := err.(*NotOwnError); not {
			return s, kv.ErrWouldWait
		}
		return s, v.deny(err)
	}
	c.Auth = auth
	return s, nil
}

// ownersNow says which leases are known to be the caller's here.
type ownersNow struct{ view View }

// ownersOf has ownersNow that are not used: a write needs one for a moment.
var ownersOf = sync.Pool{New: func() any { return new(ownersNow) }}

// OwnLease implements Owners.
func (o *ownersNow) OwnLease(id kv.LeaseID) bool {
	own, _ := o.view.owns(id)
	return own
}

// OwnLock implements Owners.
func (*ownersNow) OwnLock(string, kv.Rev) bool { return false }
