package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keywatch/auth"
)

// jwts verifies what it knows, and counts how often it is asked.
type jwts struct {
	known map[string]auth.Identity
	asked int
	from  string
}

func (v *jwts) Verify(token, address string) (auth.Identity, error) {
	v.asked++
	v.from = address
	id, ok := v.known[token]
	if !ok {
		return id, &auth.FailedError{Reason: auth.Unknown}
	}
	return id, nil
}

// textOf returns a text with the form of a JWT.
func textOf(name string) string { return "eyJh." + name + ".sig" }

// newTokenRig is newRig with JWTs, of which that of ann has the role reader for an hour.
func newTokenRig(t testing.TB) (*rig, *jwts) {
	t.Helper()
	v := &jwts{known: make(map[string]auth.Identity)}
	r := newRigWith(t, v)
	r.role("reader", "read,watch:a/", "write:a/{user}/")
	r.table.SetSigners([]string{"k1", "k2"})
	v.add("ann", "k1")
	return r, v
}

func (v *jwts) add(name, signer string) {
	v.known[textOf(name)] = auth.Identity{
		Issuer: "idp", Name: name, Roles: []string{"nosuch", "reader"}, Expires: time.Now().Add(time.Hour).UnixMilli(), Signer: signer,
	}
}

func (r *rig) byToken(name string) (*auth.Caller, error) {
	return r.table.Verify([]byte(textOf(name)), "10.0.0.1")
}

// If this failed, a JWT would be verified with each request, or be for another than it names.
func TestToken(t *testing.T) {
	r, v := newTokenRig(t)
	if _, err := r.table.Authenticate([]byte(textOf("ann"))); err != auth.ErrUnverified || v.asked != 0 {
		t.Fatalf("before it was verified: got %v, asked %d times", err, v.asked)
	}
	c, err := r.byToken("ann")
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.table.Authenticate([]byte(textOf("ann")))
	if err != nil || again != c || v.asked != 1 || v.from != "10.0.0.1" {
		t.Errorf("verified once: got another caller, or %v; asked %d times, for %s", err, v.asked, v.from)
	}
	s := c.Look()
	if c.Kind() != auth.JWT || c.Kind().String() != "jwt" || s.Name != "ann" || strings.Join(s.Roles(), " ") != "reader" || c.Expires() != v.known[textOf("ann")].Expires {
		t.Errorf("got %v, %q, %v", c.Kind(), s.Name, s.Roles())
	}
	for key, may := range map[string]bool{"a/ann/x": true, "a/eve/x": false} {
		if s.Key(auth.Write, key) != may {
			t.Errorf("write:%s: want %v", key, may)
		}
	}
	if _, err := r.byToken("eve"); reasonOf(t, err) != auth.Unknown {
		t.Errorf("a token that no key has signed: got %v", err)
	}
	if stats := r.table.Stats(); stats.Tokens != 1 {
		t.Errorf("%d tokens are known, want 1", stats.Tokens)
	}
	// Other credentials are what they were.
	if c, err := r.table.Verify([]byte(r.secret), ""); err != nil || c.Kind() != auth.Key || v.asked != 2 {
		t.Errorf("an API key: got %v, asked %d times", err, v.asked)
	}
	for text, want := range map[string]string{"eyJh.x": auth.Malformed, "correct.horse.battery": auth.Malformed, textOf(strings.Repeat("a", auth.TokenMax)): auth.Malformed, auth.NewSecret(auth.Key): auth.Unknown} {
		if _, err := r.table.Verify([]byte(text), ""); reasonOf(t, err) != want || v.asked != 2 {
			t.Errorf("%.30q: got %v, want %s; asked %d times", text, err, want, v.asked)
		}
	}
}

// If this failed, a JWT would count as a user of this store, or the user would be for it.
func TestTokenIsNoUser(t *testing.T) {
	r, v := newTokenRig(t)
	v.add("admin", "k1")
	if _, err := r.byToken("admin"); reasonOf(t, err) != auth.Disabled {
		t.Errorf("a token with the name of the administrator: got %v, want %s", err, auth.Disabled)
	}
	ann, err := r.byToken("ann")
	if err != nil {
		t.Fatal(err)
	}
	local := r.as(r.user("bob", "read:b/")).User()
	if !strings.HasPrefix(ann.User(), "u-jwt-") || strings.HasPrefix(local, "u-jwt-") || len(ann.User()) == len(local) {
		t.Errorf("the id of a token's user is %s, that of one here %s", ann.User(), local)
	}
	// The same for each token of a name, another for another issuer.
	v.known[textOf("renewed")] = v.known[textOf("ann")]
	second, err := r.byToken("renewed")
	if err != nil || second.User() != ann.User() || second.ID() == ann.ID() {
		t.Errorf("another token of a name: got %v, or another user, or the same credential", err)
	}
	id := v.known[textOf("ann")]
	id.Issuer = "idp2"
	v.known[textOf("elsewhere")] = id
	third, err := r.byToken("elsewhere")
	if err != nil || third.User() == ann.User() {
		t.Errorf("another issuer: got %v, or the same user", err)
	}
	// A user who is made under the name ends its tokens, and gets nothing of theirs.
	bob := r.as(r.user("ann", "read:z/"))
	if why := ann.Look().Ended; why != auth.Disabled || bob.User() == ann.User() {
		t.Errorf("after a user was made under its name: got %q, want %s", why, auth.Disabled)
	}
	if err := r.registry.DeleteUser(t.Context(), r.admin.By(), "ann", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	if err := ann.Good(); err != nil {
		t.Errorf("after that user was deleted: %v", err)
	}
}

// If this failed, what a JWT has opened would go on after it must not.
func TestTokenEnds(t *testing.T) {
	for _, c := range []struct {
		name, ended string
		roles       int
		end         func(*rig) error
	}{
		{"nothing", "", 1, func(*rig) error { return nil }},
		{"key removed", auth.Revoked, 0, func(r *rig) error { r.table.SetSigners([]string{"k2"}); return nil }},
		{"all keys removed", auth.Revoked, 0, func(r *rig) error { r.table.SetSigners(nil); return nil }},
		{"another key removed", "", 1, func(r *rig) error { r.table.SetSigners([]string{"k1"}); return nil }},
		{"time", auth.Expired, 0, func(r *rig) error { r.clock.Add(time.Hour.Milliseconds()); return nil }},
		{"role deleted", "", 0, func(r *rig) error {
			return r.registry.DeleteRole(r.t.Context(), r.admin.By(), "reader", auth.Condition{})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newTokenRig(t)
			who, err := r.byToken("ann")
			if err != nil {
				t.Fatal(err)
			}
			who.Follow()
			defer who.Unfollow()
			since := who.Look().Since
			if err := c.end(r); err != nil {
				t.Fatal(err)
			}
			if c.ended == auth.Expired {
				r.table.SetSigners([]string{"k1"}) // as the timer does: standings are made again
			}
			s := who.Look()
			if s.Ended != c.ended || len(s.Roles()) != c.roles {
				t.Errorf("got ended %q with %d roles, want %q with %d", s.Ended, len(s.Roles()), c.ended, c.roles)
			}
			why, _ := who.StreamEnd(since, func() (keys, prefixes []string) { return nil, []string{"a/"} })
			want := c.ended
			if want == "" && c.roles == 0 {
				want = auth.Narrowed
			}
			if why != want {
				t.Errorf("its streams end with %q, want %q", why, want)
			}
			if _, err := r.byToken("ann"); reasonOf(t, err) != c.ended {
				t.Errorf("sent again: got %v, want %q", err, c.ended)
			}
		})
	}
}

// If this failed, who has a JWT for an hour could have a credential for ever.
func TestTokenMakesNoCredentials(t *testing.T) {
	r, v := newTokenRig(t)
	id := v.known[textOf("ann")]
	id.Roles = []string{"admin"}
	v.known[textOf("ann")] = id
	c, err := r.byToken("ann")
	if err != nil {
		t.Fatal(err)
	}
	if !c.Look().Can(auth.Admin) {
		t.Fatal("control: the token has not the role admin")
	}
	by, ctx := r.door.As(c).By(), t.Context()
	password := "a password of eve"
	_, ticket := r.registry.Ticket(by, auth.TicketInfo{Prefixes: []string{"a/"}})
	_, _, key := r.registry.AddKey(ctx, by, auth.KeySpec{User: "admin"})
	_, user := r.registry.AddUser(ctx, by, "eve", auth.UserSpec{Password: &password})
	_, set := r.registry.SetUser(ctx, by, "admin", auth.UserSpec{Password: &password}, auth.Condition{})
	_, _, role := r.registry.PutRole(ctx, by, "more", nil, auth.Condition{})
	_, _, renew := r.registry.Renew(ctx, by)
	_, rotate := r.registry.Rotate(ctx, by, auth.RotateTickets)
	for name, err := range map[string]error{
		"ticket": ticket, "key": key, "user": user, "password of a user": set, "role": role, "session": renew, "rotation": rotate,
		"own password": r.registry.SetPassword(ctx, by, "old", password), "logout": r.registry.Logout(ctx, by, true),
	} {
		_, denied := errors.AsType[*auth.DeniedError](err)
		if !denied && !errors.Is(err, auth.ErrBadRequest) {
			t.Errorf("%s: got %v, want that it is not permitted", name, err)
		}
	}
	if _, _, err := r.registry.AddKey(ctx, r.admin.By(), auth.KeySpec{User: "admin"}); err != nil {
		t.Errorf("control: an administrator's key: %v", err)
	}
}

// If this failed, JWTs that were sent once would fill the memory.
func TestTokensAreBounded(t *testing.T) {
	r, v := newTokenRig(t)
	const some = 200
	for i := range auth.TokensMax + some {
		name := fmt.Sprintf("n%d", i)
		v.add(name, "k1")
		if _, err := r.byToken(name); err != nil {
			t.Fatal(err)
		}
		delete(v.known, textOf(name))
	}
	if n := r.table.Stats().Tokens; n != auth.TokensMax {
		t.Errorf("%d tokens are known, want %d", n, auth.TokensMax)
	}
	v.add("later", "k1")
	id := v.known[textOf("later")]
	id.Expires += time.Hour.Milliseconds()
	v.known[textOf("later")] = id
	r.clock.Add(time.Hour.Milliseconds() + 1000)
	if _, err := r.byToken("later"); err != nil {
		t.Fatal(err)
	}
	if n := r.table.Stats().Tokens; n != 1 {
		t.Errorf("%d tokens are known after all but one have expired", n)
	}
}

// If this failed, a server without the flag would look at JWTs.
func TestTokensAreOff(t *testing.T) {
	r := newRig(t)
	if _, err := r.table.Verify([]byte(textOf("ann")), ""); reasonOf(t, err) != auth.Malformed || r.table.AcceptsJWT() {
		t.Errorf("got %v, want %s", err, auth.Malformed)
	}
}
