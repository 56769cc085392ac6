package auth

import (
	"context"
	"errors"
	"sync"
)

// usesStep bounds how many API keys one command notes the use of.
const usesStep = 256

// uses are the API keys that were used for the first time on a day, until that is written.
type uses struct {
	mu   sync.Mutex
	keys map[*Caller]struct{}
}

func (u *uses) add(all ...*Caller) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.keys == nil {
		u.keys = make(map[*Caller]struct{})
	}
	for _, c := range all {
		u.keys[c] = struct{}{}
	}
}

// take removes some, at most n.
func (u *uses) take(n int) (all []*Caller) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.keys {
		if len(all) == n {
			break
		}
		delete(u.keys, c)
		all = append(all, c)
	}
	return all
}

// dayOf returns the days between 1970 and a time in milliseconds.
func dayOf(ms int64) int64 { return ms / (secondsPerDay * 1000) }

// used notes that the caller's credential is used at a time. But for the first use of a day that is one
// atomic load.
func (c *Caller) used(now int64) {
	day := dayOf(now)
	if c.kind != Key || c.day.Load() >= day {
		return
	}
	if c.day.Swap(day) < day {
		c.table.uses.add(c)
	}
}

// WriteUses writes down the day of API keys that were used for the first time on a day, of some of them.
// more says that there are others. Those whose day could not be written are tried again with the next call.
func (r *Registry) WriteUses(ctx context.Context) (more bool, err error) {
	t := r.table
	some := t.uses.take(usesStep)
	if len(some) == 0 {
		return false, nil
	}
	_, err = r.run(ctx, Server, nil, func(c *change) error {
		for _, caller := range some {
			caller.noteDay(c)
		}
		if len(c.command.Puts) == 0 {
			return errNoUses
		}
		return nil
	})
	if err == errNoUses {
		err = nil
	}
	if err != nil {
		t.uses.add(some...)
	}
	return len(some) == usesStep, err
}

// errNoUses says that there is nothing to write: the keys are gone, or other servers have written it.
var errNoUses = errors.New("no key was used for the first time")

// noteDay has a change write the day of the caller's last use, unless it is known.
func (c *Caller) noteDay(to *change) {
	t, name := c.table, recordName(kindCred, c.id.String())
	t.mu.RLock()
	rec, rev, known := c.cred.Load(), t.mu.credRev[c.id], t.mu.creds[c.id] == c
	t.mu.RUnlock()
	day := c.day.Load()
	if !known || rec == nil || rec.Used >= day {
		return
	}
	next := *rec
	next.Used = day
	to.check(name, rev)
	to.put(name, next)
}
