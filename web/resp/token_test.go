package resp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"keywatch/auth"
)

// An issuer verifies the tokens that it has made.
type issuer map[string]auth.Identity

// token returns one of the largest size, with roles.
func (i issuer) token(name string, roles ...string) string {
	text := fmt.Sprintf("eyJ%d.", len(i))
	text += strings.Repeat("a", auth.TokenMax-len(text)-2) + ".s"
	i[text] = auth.Identity{Issuer: "idp", Name: name, Roles: roles, Expires: time.Now().Add(time.Hour).UnixMilli(), Signer: "k"}
	return text
}

// Verify implements auth.Verifier.
func (i issuer) Verify(token, address string) (auth.Identity, error) {
	id, ok := i[token]
	switch {
	case address != "127.0.0.1":
		return id, fmt.Errorf("%w: address %q", auth.ErrTooManyTokens, address)
	case !ok:
		return id, &auth.FailedError{Reason: auth.Unknown, Detail: "wrong signature"}
	}
	return id, nil
}

// If this failed, a JWT would be no credential of clients of Redis, would be one of another user, or its connection
// would stay open after its key was removed.
func TestToken(t *testing.T) {
	idp := make(issuer)
	s := newSecuredWith(t, idp)
	s.table.SetSigners([]string{"k"})
	s.role("reader", "read:a/", "write:a/{user}/")
	ann := idp.token("ann", "reader")
	c := s.dial()
	for _, line := range []string{"AUTH bob " + ann, "AUTH " + ann + "x", "AUTH eyJ.a.s", "AUTH " + idp.token("admin", "admin")} {
		c.want(line, wrongPass)
	}
	c.want("GET a/1", "-NOAUTH Authentication required.")
	c.want("AUTH "+ann, "+OK")
	c.want("ACL WHOAMI", `"ann"`)
	c.want("SET a/ann/1 v", "+OK")
	c.want("GET a/ann/1", `"v"`)
	if got := c.words("SET", "a/bob/1", "v"); !strings.HasPrefix(got, "-NOPERM") {
		t.Errorf("a key of another: got %s", got)
	}
	again := s.dial() // known by now
	again.want("AUTH ann "+ann, "+OK")
	again.want("GET a/ann/1", `"v"`)
	s.table.SetSigners(nil)
	c.ended()
	again.ended()
	s.dial().want("AUTH "+ann, wrongPass)
}
