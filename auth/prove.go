package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// provenMax bounds the passwords that are remembered as right.
const provenMax = 1000

// proven remembers which passwords were right, so that a pool of connections costs one hash. What it
// keeps of a password is useless outside this process: an HMAC with a key that it drew.
type proven struct {
	mu     sync.Mutex
	key    [32]byte
	byMAC  map[[sha256.Size]byte]*Caller
	oldest [][sha256.Size]byte
}

// mac names a user's password as long as both stay the same.
func (p *proven) mac(u *userState, password string) (sum [sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byMAC == nil {
		p.byMAC = make(map[[sha256.Size]byte]*Caller)
		rand.Read(p.key[:]) // never fails
	}
	m := hmac.New(sha256.New, p.key[:])
	for _, text := range []string{u.id, u.record.Password, password} {
		m.Write(appendText(nil, text))
	}
	m.Sum(sum[:0])
	return sum
}

func (p *proven) caller(sum [sha256.Size]byte) *Caller {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byMAC[sum]
}

func (p *proven) note(sum [sha256.Size]byte, c *Caller) *Caller {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.byMAC[sum]; known != nil {
		return known
	}
	p.byMAC[sum] = c
	if p.oldest = append(p.oldest, sum); len(p.oldest) > provenMax {
		delete(p.byMAC, p.oldest[0])
		p.oldest = p.oldest[1:]
	}
	return c
}

// Prove returns the caller of a connection that begins with a user's name and password, as clients
// of Redis send them. Unlike Login it makes no session: the caller ends when the user's password
// changes. It fails as Login does. A password that was right is remembered, and not hashed again.
func (r *Registry) Prove(ctx context.Context, name, password string) (*Caller, error) {
	folded, _ := FoldName(name)
	u, hash := r.passwordOf(folded, password)
	if hash != "" {
		if c := r.proven.caller(r.proven.mac(u, password)); c != nil && c.fail() == nil {
			return c, nil
		}
	}
	if r.synced != nil { // a user or password that is new at another server is known then
		if err := r.synced(ctx); err != nil {
			return nil, err
		}
		u, hash = r.passwordOf(folded, password)
	}
	ok, _, err := r.Passwords.Verify(ctx, hash, password)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrWrongPassword
	}
	c := r.proven.note(r.proven.mac(u, password), &Caller{table: r.table, kind: Password, user: u.id, proof: hash})
	if c.fail() != nil {
		return nil, ErrWrongPassword // changed meanwhile
	}
	return c, nil
}

// passwordOf returns the user with a folded name, and the hash that password is to match: empty if none can.
func (r *Registry) passwordOf(name, password string) (u *userState, hash string) {
	if u = r.table.userByName(name); u != nil && !u.record.Disabled && len(password) <= PasswordMax {
		hash = u.record.Password
	}
	return u, hash
}
