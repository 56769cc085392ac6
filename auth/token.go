package auth

import (
	"crypto/sha256"
	"errors"
	"sync"
)

const (
	// TokenMax bounds a JWT in bytes.
	TokenMax = 4 << 10
	// tokensMax bounds the JWTs that are remembered as verified.
	tokensMax = 10_000
	// tokenUserPrefix begins the id of whom a JWT is for. No id of a user here does.
	tokenUserPrefix = userPrefix + "jwt-"
	tokenIDBytes    = 20
)

var (
	// ErrUnverified is returned by Authenticate for a JWT that is not known yet: Verify looks at its signature.
	ErrUnverified = errors.New("token not verified yet")
	// ErrTooManyTokens is matched by errors about JWTs that were not looked at, because there are too many.
	ErrTooManyTokens = errors.New("too many tokens")
)

// An Identity is what a JWT says that was verified.
type Identity struct {
	// Issuer has signed it, Name is whom it is for, as FoldName returns it.
	Issuer, Name string
	// Roles are the roles that it names, as FoldName returns them, each once.
	Roles []string
	// Expires is when it ends, in milliseconds of wall time.
	Expires int64
	// Signer is the id of the key that has signed it: see Table.SetSigners.
	Signer string
}

// A Verifier verifies JWTs. address is that of the caller. It fails with a *FailedError, an error that matches
// ErrTooManyTokens, or one that matches kv.ErrStarting while it has no keys.
type Verifier interface {
	Verify(token, address string) (Identity, error)
}

// jwtPrefix is how JSON objects begin in base64url, of which the header of a JWT is one.
const jwtPrefix = "eyJ"

// IsJWT reports whether a text has the form of a JWT: three parts in base64url, of which the first is an object.
// It looks at no more than TokenMax bytes, and takes no memory.
func IsJWT[T string | []byte](text T) bool {
	if len(text) > TokenMax || len(text) < len(jwtPrefix) || string(text[:len(jwtPrefix)]) != jwtPrefix {
		return false
	}
	dots, part := 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '.':
			if dots++; dots > 2 || part == 0 {
				return false
			}
			part = 0
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			part++
		default:
			return false
		}
	}
	return dots == 2 && part > 0
}

// tokens are the JWTs that were verified. Their callers are found by hash, as those of other credentials are.
type tokens struct {
	mu    sync.Mutex
	known map[Hash]*Caller
	// oldest has the hashes of known in the order in which they were verified.
	oldest []Hash
}

// AcceptsJWT reports whether JWTs are accepted.
func (t *Table) AcceptsJWT() bool { return t.opts.Verifier != nil }

// SetSigners says which keys sign JWTs, by their ids. What others have signed is revoked.
func (t *Table) SetSigners(ids []string) {
	signers := make(map[string]bool, len(ids))
	for _, id := range ids {
		signers[id] = true
	}
	t.mu.Lock()
	t.mu.signers = signers
	t.gen.Add(1)
	t.mu.Unlock()
	t.wake()
}

// Verify returns the caller that a secret proves, as Authenticate does; of a JWT that is not known yet it
// verifies the signature. address is that of the caller. It fails with ErrTooManyTokens and kv.ErrStarting too.
func (t *Table) Verify(secret []byte, address string) (*Caller, error) {
	c, err := t.Authenticate(secret)
	if err != ErrUnverified {
		return c, err
	}
	id, err := t.opts.Verifier.Verify(string(secret), address)
	if err != nil {
		return nil, err
	}
	hash := HashOf(secret)
	c = &Caller{table: t, id: hash.ID(), kind: JWT, user: id.user(), token: &id}
	c.expires.Store(id.Expires)
	if err := c.fail(); err != nil {
		return nil, err
	}
	return t.remember(hash, c), nil
}

// user returns the id of whom a JWT is for: the same for each JWT of one issuer with one name.
func (id *Identity) user() string {
	sum := sha256.Sum256(appendText(appendText(nil, id.Issuer), id.Name))
	return tokenUserPrefix + idEncoding.EncodeToString(sum[:tokenIDBytes])
}

// remember returns the caller of a JWT that was verified: c, or the one that is known already.
func (t *Table) remember(hash Hash, c *Caller) *Caller {
	t.tokens.mu.Lock()
	defer t.tokens.mu.Unlock()
	if known := t.tokens.known[hash]; known != nil {
		return known
	}
	if t.tokens.known == nil {
		t.tokens.known = make(map[Hash]*Caller)
	}
	t.forgetTokensLocked()
	t.tokens.known[hash], t.tokens.oldest = c, append(t.tokens.oldest, hash)
	t.byHash.Store(hash, c)
	return c
}

// forgetTokensLocked forgets the JWTs that were verified first, as far as they have expired or there are too many.
// One that is forgotten is verified again; what it has opened continues.
func (t *Table) forgetTokensLocked() {
	m, now := &t.tokens, t.Now()
	for len(m.oldest) > 0 && (len(m.oldest) >= tokensMax || m.known[m.oldest[0]].expired(now)) {
		delete(m.known, m.oldest[0])
		t.byHash.Delete(m.oldest[0])
		m.oldest = m.oldest[1:]
	}
}

// tokensKnown returns how many JWTs are remembered.
func (t *Table) tokensKnown() int {
	t.tokens.mu.Lock()
	defer t.tokens.mu.Unlock()
	return len(t.tokens.known)
}

// tokenStandingLocked returns what a JWT allows: the roles that it names, of those that exist. A user of this
// store is never meant: a name that a user has is refused, so that neither is mistaken for the other.
func (t *Table) tokenStandingLocked(c *Caller, old *Standing) *Standing {
	switch {
	case !t.mu.signers[c.token.Signer]:
		return endedStanding(Revoked, old)
	case t.mu.names[c.token.Name] != nil:
		return endedStanding(Disabled, old)
	case c.expired(t.Now()):
		return endedStanding(Expired, old)
	}
	return t.grantedLocked(nil, c.token.Name, c.token.Roles, nil, old)
}
