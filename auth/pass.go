package auth

import (
	"errors"
)

// A Pass is what was allowed at one moment. What was read after it was given may be shown only if
// Still returns nil afterwards.
type Pass struct {
	who      *Caller
	standing *Standing
	open     *Door // where there is no authentication
}

// Still returns nil while the caller's standing is what it was, else ErrMoved, a *FailedError or ErrUsers.
// It costs two atomic loads.
func (p Pass) Still() error {
	if p.open != nil {
		return p.open.Shut()
	}
	if p.who == nil || p.who.Look() == p.standing {
		return nil
	}
	if err := p.who.fail(); err != nil {
		return err
	}
	return ErrMoved
}

// deny returns err, or that a credential is missing if it says that a caller without one may not.
func (v View) deny(err error) error {
	denied, ok := errors.AsType[*DeniedError](err)
	if !ok {
		return err
	}
	v.door.table.deniedVerb(denied)
	if v.who.kind == Anonymous {
		return &FailedError{Reason: Missing}
	}
	return err
}

// pass returns a pass if may says that the standing is enough.
func (v View) pass(may func(*Standing) error) (Pass, error) { return v.passBy(View.look, may) }

func (v View) passBy(look func(View) (*Standing, error), may func(*Standing) error) (Pass, error) {
	if v.open() {
		return Pass{open: v.door}, nil
	}
	s, err := look(v)
	if err == nil {
		err = v.deny(may(s))
	}
	return Pass{who: v.who, standing: s}, err
}

// MayKey returns a pass for verb on one key, or on the name of a lock. It fails with a *DeniedError
// or *FailedError; so do the others.
func (v View) MayKey(verb Verb, key string) (Pass, error) {
	if v.open() {
		return Pass{open: v.door}, nil
	}
	s, err := v.look()
	if err == nil && !s.Key(verb, key) {
		err = v.deny(denied(verb, key, -1))
	}
	return Pass{who: v.who, standing: s}, err
}

// MayUnder returns a pass for verb on all keys that begin with prefix.
func (v View) MayUnder(verb Verb, prefix string) (Pass, error) {
	return v.pass(func(s *Standing) error { return s.needUnder(verb, prefix) })
}

// May returns a pass for a verb without a target. How the server and its cluster are may be asked of
// one that is behind, too.
func (v View) May(verb Verb) (Pass, error) {
	look := View.look
	if verb == Metrics || verb == Cluster {
		look = View.lookNear
	}
	return v.passBy(look, func(s *Standing) error {
		if s.Can(verb) {
			return nil
		}
		return denied(verb, "", -1)
	})
}

// MayWatch returns a pass for a stream of keys and of all that begin with prefixes.
func (v View) MayWatch(keys, prefixes []string) (Pass, error) {
	return v.pass(func(s *Standing) error { return s.Stream(keys, prefixes) })
}
