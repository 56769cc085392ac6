package kv

import (
	"bytes"
	"strings"
)

// privateLocked changes private records. It takes a revision whenever its checks hold, so that
// two records of one name never have the same.
func (s *State) privateLocked(c *PrivateCommand, auth Rev, r *Result) {
	m, t := &s.mu.machine, &s.mu.private
	if t.moved(auth) {
		r.Outcome = AuthMoved
		return
	}
	if i := t.firstFailed(c.Checks); i >= 0 {
		r.Outcome, r.Failed = CheckFailed, i
		return
	}
	if t.over(c) {
		r.Outcome = PrivateFull
		return
	}
	m.rev++
	m.silent = true
	t.changes++
	if c.Narrow || t.auth == 0 {
		t.auth = m.rev
	}
	r.Outcome, r.Rev = Committed, m.rev
	for i := range c.Puts {
		p := &c.Puts[i]
		t.write(PrivateRecord{Name: strings.Clone(p.Name), Value: bytes.Clone(p.Value), Rev: m.rev})
	}
	for _, name := range c.Deletes {
		if t.remove(name) {
			t.changed = append(t.changed, PrivateRecord{Name: strings.Clone(name), Rev: m.rev})
		}
	}
}

// moved reports whether permissions have been narrowed since a command was allowed under auth,
// which is 0 for one that needs no permission.
func (t *privateTable) moved(auth Rev) bool { return auth != 0 && auth != t.auth }

// write puts a record and notes it for the watcher.
func (t *privateTable) write(r PrivateRecord) {
	t.put(r)
	t.changed = append(t.changed, r)
}

// firstFailed returns the index of the first check that does not hold, or -1.
func (t *privateTable) firstFailed(checks []PrivateCheck) int {
	for i := range checks {
		if r, _ := t.byName.Get(checks[i].Name); r.Rev != checks[i].Rev {
			return i
		}
	}
	return -1
}

// over reports whether c would exceed a bound on private records, and make it worse.
func (t *privateTable) over(c *PrivateCommand) bool {
	records, size := 0, int64(0)
	count := func(name string) {
		if old, ok := t.byName.Get(name); ok {
			records--
			size -= old.cost()
		}
	}
	for i := range c.Puts {
		records++
		size += c.Puts[i].cost()
		count(c.Puts[i].Name)
	}
	for _, name := range c.Deletes {
		count(name)
	}
	return records > 0 && t.byName.Len()+records > PrivateMax || size > 0 && t.bytes+size > PrivateBytesMax
}

// tellPrivateLocked tells the watcher what the entry did to private records, before anything of
// it is visible.
func (s *State) tellPrivateLocked() {
	t := &s.mu.private
	switch {
	case s.mu.reset:
		s.opts.Private.PrivateReset(t.all, t.auth, Epoch(s.epoch.Load()))
	case len(t.changed) > 0 || t.auth != t.told:
		s.opts.Private.PrivateChanged(t.changed, t.auth)
	}
	t.told = t.auth
	clear(t.changed)
	t.changed = t.changed[:0]
}
