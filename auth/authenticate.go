package auth

import (
	"errors"
	"sync"
)

// Why a credential was not accepted, as answers say it.
const (
	Missing   = "missing"
	Malformed = "malformed"
	Unknown   = "unknown"
)

// A FailedError says why a credential was not accepted.
type FailedError struct {
	// Reason is Missing, Malformed, Unknown, Expired, Revoked or Disabled.
	Reason string
	// Detail, if not empty, says more of a JWT, and quotes nothing of it.
	Detail string
}

func (e *FailedError) Error() string {
	if e.Detail != "" {
		return "credential not accepted: " + e.Reason + ": " + e.Detail
	}
	return "credential not accepted: " + e.Reason
}

// errOrphan refuses a ticket whose credential is not known here.
var errOrphan = &FailedError{Reason: Revoked}

// MayBeNew reports whether a credential was not accepted because this server does not know it: another server may
// have made it, and this one not applied that yet. No server makes JWTs, whose refusal has a detail. See
// Table.CatchUp.
func MayBeNew(err error) bool {
	failed, ok := err.(*FailedError)
	return ok && (failed == errOrphan || failed.Reason == Unknown && failed.Detail == "")
}

// ticketsMax is the default of TableOptions.UsedTickets.
const ticketsMax = 100_000

// ErrTooManyTickets is returned when so many tickets for one use were used that no more can be
// remembered.
var ErrTooManyTickets = errors.New("too many tickets for one use within 30 s: how many are remembered is fixed")

// nonces are the tickets for one use that were used, until they expire.
type nonces struct {
	max  int
	mu   sync.Mutex
	used map[[8]byte]int64
}

// use notes a nonce; it fails if it was used before.
func (n *nonces) use(nonce [8]byte, expires, now int64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, again := n.used[nonce]; again {
		return &FailedError{Reason: Revoked}
	}
	if n.used == nil {
		n.used = make(map[[8]byte]int64)
	}
	if len(n.used) >= n.max {
		for k, end := range n.used {
			if end <= now {
				delete(n.used, k)
			}
		}
	}
	if len(n.used) >= n.max {
		return ErrTooManyTickets
	}
	n.used[nonce] = expires
	return nil
}

// Anonymous returns the caller without a credential.
func (t *Table) Anonymous() *Caller { return t.anonymous }

// Authenticate returns the caller whose API key or session has the text secret. Nothing of it is
// kept. It fails with a *FailedError: a bad credential is never Anonymous. Where JWTs are accepted it returns
// the caller of one that is known already, and fails with ErrUnverified for another: see Verify. It never waits.
func (t *Table) Authenticate(secret []byte) (*Caller, error) {
	if len(secret) > TokenMax {
		return nil, &FailedError{Reason: Malformed}
	}
	c, ok := t.byHash.Load(HashOf(secret))
	if !ok {
		return nil, t.strange(secret)
	}
	now := t.Now()
	err := c.failAt(now)
	if err == nil {
		c.used(now)
	}
	return c, err
}

// strange returns why a credential is not accepted that is not known.
func (t *Table) strange(secret []byte) error {
	switch _, err := CheckSecret(string(secret)); {
	case err == nil:
		return &FailedError{Reason: Unknown}
	case t.opts.Verifier != nil && IsJWT(secret):
		return ErrUnverified
	}
	return &FailedError{Reason: Malformed}
}

// fail returns a *FailedError if the caller's credential is good for nothing, or has expired since
// that was looked at.
func (c *Caller) fail() error { return c.failAt(c.table.Now()) }

func (c *Caller) failAt(now int64) error {
	s := c.Look()
	if s.Ended == "" && c.expired(now) {
		return &FailedError{Reason: Expired}
	}
	if s.Ended != "" {
		return &FailedError{Reason: s.Ended}
	}
	return nil
}

// Good returns nil while the caller's credential is good, else a *FailedError.
func (c *Caller) Good() error { return c.fail() }

// UseTicket returns the caller that a ticket makes, for a page of origin, which is empty if none
// is known. A ticket for one use is used up. It fails with a *FailedError or ErrTooManyTickets.
func (t *Table) UseTicket(text, origin string) (*Caller, error) {
	unknown := false
	info, err := ParseTicket(text, func(n uint64) (k TicketKey, ok bool) {
		k, ok = t.ticketKey(n)
		newest, _ := t.newestTicketKey()
		unknown = n > newest.Number // they rise
		return k, ok
	})
	switch {
	case unknown:
		return nil, &FailedError{Reason: Unknown}
	case err != nil:
		return nil, &FailedError{Reason: Malformed}
	}
	t.mu.RLock()
	parent := t.mu.creds[info.Cred]
	epoch := t.mu.epoch
	t.mu.RUnlock()
	now := t.Now()
	switch {
	case parent == nil && info.Epoch == epoch:
		return nil, errOrphan
	case parent == nil, info.Epoch != epoch, info.Origin != "" && info.Origin != origin:
		return nil, &FailedError{Reason: Revoked}
	case info.Expires <= now:
		return nil, &FailedError{Reason: Expired}
	}
	if err := parent.fail(); err != nil {
		return nil, err
	}
	if !info.Reuse {
		if err := t.nonces.use(info.Nonce, info.Expires, now); err != nil {
			return nil, err
		}
	}
	c := &Caller{
		table: t, id: info.Cred, kind: Ticketed, user: parent.user, parent: parent, epoch: info.Epoch,
		bound: info.grants(), origin: info.Origin,
	}
	c.expires.Store(info.Expires)
	if !info.Reuse {
		c.expires.Store(parent.Expires()) // it was used in time; what it opened lives with its parent
	}
	return c, c.fail()
}

// grants returns what a ticket allows: to read and watch its names.
func (i *TicketInfo) grants() *Grants {
	var all []Grant
	for _, key := range i.Keys {
		all = append(all, Grant{Verbs: []Verb{Read, Watch}, Key: key})
	}
	for _, prefix := range i.Prefixes {
		all = append(all, Grant{Verbs: []Verb{Read, Watch}, Prefix: prefix, Under: true})
	}
	return NewGrants("", all)
}

func (t *Table) ticketKey(n uint64) (TicketKey, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	k, ok := t.mu.tickets[n]
	return k, ok
}

// newestTicketKey returns the key that new tickets are signed with.
func (t *Table) newestTicketKey() (k TicketKey, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for n, each := range t.mu.tickets {
		if !ok || n > k.Number {
			k, ok = each, true
		}
	}
	return k, ok
}
