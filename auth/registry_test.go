package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/auth"
	"keywatch/kv"
)

// If this failed, a second start would make another administrator, or none could come in.
func TestBootstrapOnce(t *testing.T) {
	r := newRig(t)
	if !r.admin.Caller().Look().Can(auth.Admin) {
		t.Error("the first key is no administrator's")
	}
	if made, err := r.registry.Bootstrap(t.Context(), auth.NewSecret(auth.Key), time.Hour); made || err != nil {
		t.Errorf("a second time: got %v, %v, want nothing", made, err)
	}
	if _, err := r.registry.Bootstrap(t.Context(), "weak", 0); err == nil {
		t.Error("a first key that is no key was accepted")
	}
}

// Whatever requests are made, and however many at once, an enabled administrator must be left.
func TestLastAdministratorStays(t *testing.T) {
	r := newRig(t)
	ctx, by := t.Context(), r.admin.By()
	off := true
	for what, try := range map[string]func() error{
		"delete user": func() error { return r.registry.DeleteUser(ctx, by, "admin", auth.Condition{}) },
		"disable": func() error {
			_, err := r.registry.SetUser(ctx, by, "admin", auth.UserSpec{Disabled: &off}, auth.Condition{})
			return err
		},
		"take the role": func() error {
			_, err := r.registry.SetUser(ctx, by, "admin", auth.UserSpec{Roles: &[]string{}}, auth.Condition{})
			return err
		},
		"delete role": func() error { return r.registry.DeleteRole(ctx, by, "admin", auth.Condition{}) },
		"empty role": func() error {
			_, _, err := r.registry.PutRole(ctx, by, "admin", nil, auth.Condition{})
			return err
		},
	} {
		if err := try(); !errors.Is(err, auth.ErrLastAdmin) {
			t.Errorf("%s: got %v, want %v", what, err, auth.ErrLastAdmin)
		}
	}
	// Two that remove each other: one of them must be left.
	if _, err := r.registry.AddUser(ctx, by, "second", auth.UserSpec{Roles: &[]string{"admin"}}); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for _, name := range []string{"admin", "second"} {
		wait.Go(func() { _ = r.registry.DeleteUser(ctx, auth.Server, name, auth.Condition{}) })
	}
	wait.Wait()
	left := 0
	for _, name := range []string{"admin", "second"} {
		if _, ok := r.registry.User(name); ok {
			left++
		}
	}
	if left != 1 {
		t.Errorf("%d administrators are left, want 1", left)
	}
}

// Who is no administrator must change nothing but its own.
func TestChangesNeedAdmin(t *testing.T) {
	r := newRig(t)
	ann := r.as(r.user("ann", "read,write,watch,lock:*", "lease,metrics,operate,backup,cluster"))
	bob := r.user("bob", "read:a/")
	ctx := t.Context()
	before := r.state.Position()
	for _, by := range []auth.By{ann.By(), r.door.As(r.table.Anonymous()).By(), r.door.As(nil).By(), {}} {
		for what, try := range map[string]func() error{
			"role": func() error { _, _, err := r.registry.PutRole(ctx, by, "x", nil, auth.Condition{}); return err },
			"drop": func() error { return r.registry.DeleteRole(ctx, by, "bob", auth.Condition{}) },
			"add":  func() error { _, err := r.registry.AddUser(ctx, by, "x", auth.UserSpec{}); return err },
			"set": func() error {
				_, err := r.registry.SetUser(ctx, by, "ann", auth.UserSpec{Roles: &[]string{"admin"}}, auth.Condition{})
				return err
			},
			"delete": func() error { return r.registry.DeleteUser(ctx, by, "bob", auth.Condition{}) },
			"key":    func() error { _, _, err := r.registry.AddKey(ctx, by, auth.KeySpec{User: "ann"}); return err },
			"other":  func() error { _, _, err := r.registry.AddKey(ctx, by, auth.KeySpec{User: "bob"}); return err },
			"revoke": func() error { return r.registry.Revoke(ctx, by, auth.Key, auth.HashOf(bob).ID()) },
			"rotate": func() error { return errOf(r.registry.Rotate(ctx, by, auth.RotateTickets)) },
			"renew":  func() error { _, _, err := r.registry.Renew(ctx, by); return err },
			"change": func() error { return r.registry.SetPassword(ctx, by, "x", "y") },
		} {
			if err := try(); err == nil {
				t.Errorf("%s: it was done", what)
			}
		}
	}
	if after := r.state.Position(); after != before {
		t.Errorf("the store went from %v to %v", before, after)
	}
}

func errOf[T any](_ T, err error) error { return err }

// If this failed, a change that an administrator began before it was revoked would be made after.
func TestRevokedAdministratorChangesNothing(t *testing.T) {
	r := newRig(t)
	second := r.user("second", "admin")
	by := r.as(second).By()
	log := &between{Proposer: r.store}
	late := auth.NewRegistry(r.table, log, nil)
	log.before = func() {
		if err := r.registry.DeleteUser(t.Context(), r.admin.By(), "second", auth.Condition{}); err != nil {
			t.Error(err)
		}
	}
	if _, err := late.AddUser(t.Context(), by, "mallory", auth.UserSpec{Roles: &[]string{"admin"}}); err == nil {
		t.Error("a user was made by an administrator that was deleted before")
	}
	if _, ok := r.registry.User("mallory"); ok {
		t.Error("the user is there")
	}
}

// A between does something once before a command is proposed.
type between struct {
	auth.Proposer
	before func()
}

func (b *between) Do(ctx context.Context, c *kv.Command) (kv.Result, error) {
	if do := b.before; do != nil {
		b.before = nil
		do()
	}
	return b.Proposer.Do(ctx, c)
}

// Users must be unique by name whatever the case, and one made again is another one.
func TestUsers(t *testing.T) {
	r := newRig(t)
	ctx, by := t.Context(), r.admin.By()
	first := r.user("ann", "read:a/")
	id := r.as(first).User()
	if _, err := r.registry.AddUser(ctx, by, "ANN", auth.UserSpec{}); !errors.Is(err, auth.ErrExists) {
		t.Errorf("the same name: got %v, want %v", err, auth.ErrExists)
	}
	cert := []string{"uri:spiffe://a/b"}
	u, err := r.registry.SetUser(ctx, by, "Ann", auth.UserSpec{Certs: &cert}, auth.Condition{})
	if err != nil || len(u.Certs) != 1 {
		t.Fatalf("got %+v, %v", u, err)
	}
	if _, err := r.registry.AddUser(ctx, by, "eve", auth.UserSpec{Certs: &cert}); !errors.Is(err, auth.ErrExists) {
		t.Errorf("another user with the certificate: got %v, want %v", err, auth.ErrExists)
	}
	if c, err := r.byCertificate(cert...); err != nil || c.User() != id {
		t.Errorf("the certificate: got %v, want ann", err)
	}
	if _, err := r.registry.SetUser(ctx, by, "ann", auth.UserSpec{}, auth.Condition{Rev: u.Rev - 1}); !errors.Is(err, auth.ErrChanged) {
		t.Errorf("another version: got %v, want %v", err, auth.ErrChanged)
	}
	if err := r.registry.DeleteUser(ctx, by, "ann", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.table.Authenticate([]byte(first)); err == nil {
		t.Error("a key of a deleted user is good")
	}
	if _, err := r.byCertificate(cert...); err == nil {
		t.Error("a certificate of a deleted user is good")
	}
	again := r.user("ann", "read:a/")
	if r.as(again).User() == id {
		t.Error("a user that was made again is the same one")
	}
	if _, err := r.table.Authenticate([]byte(first)); err == nil {
		t.Error("a key of a deleted user is good for the one made again")
	}
	for i := range 5 {
		if _, err := r.registry.AddUser(ctx, by, fmt.Sprint("u", i), auth.UserSpec{}); err != nil {
			t.Fatal(err)
		}
	}
	page, more := r.registry.Users("ann", 3)
	if len(page) != 3 || !more || page[0].Name != "u0" {
		t.Errorf("a page: got %+v, %v", page, more)
	}
}

// What a request says must be bounded and well-formed.
func TestBadRequests(t *testing.T) {
	r := newRig(t)
	ctx, by := t.Context(), r.admin.By()
	text := func(s string) *string { return &s }
	large := json.RawMessage(`"` + strings.Repeat("x", auth.MetadataMax) + `"`)
	broken := json.RawMessage(`{`)
	for name, spec := range map[string]auth.UserSpec{
		"both":          {Password: text("correct horse"), Hash: text("$2b$")},
		"short":         {Password: text("short")},
		"hash":          {Hash: text("$argon2id$v=19$m=4000000,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")},
		"large":         {Metadata: &large},
		"broken":        {Metadata: &broken},
		"bad role":      {Roles: &[]string{"a/b"}},
		"many roles":    {Roles: func() *[]string { s := make([]string, 33); return &s }()},
		"bad cert":      {Certs: &[]string{"x"}},
		"bad cert kind": {Certs: &[]string{"ip:1.2.3.4"}},
	} {
		if _, err := r.registry.AddUser(ctx, by, "x", spec); err == nil {
			t.Errorf("%s: it was accepted", name)
		}
	}
	if _, err := r.registry.AddUser(ctx, by, "a/b", auth.UserSpec{}); !errors.Is(err, auth.ErrBadName) {
		t.Errorf("a bad name: got %v", err)
	}
	if _, _, err := r.registry.AddKey(ctx, by, auth.KeySpec{User: "nobody"}); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("a key for no one: got %v", err)
	}
	if _, _, err := r.registry.PutRole(ctx, by, "x", make([]auth.Grant, auth.GrantsMax+1), auth.Condition{}); !errors.Is(err, auth.ErrBadRequest) {
		t.Errorf("a large role: got %v", err)
	}
}

// A key whose secret was made elsewhere must be made by its hash alone, and again without harm.
func TestKeysByHash(t *testing.T) {
	r := newRig(t)
	r.user("ann", "read:a/")
	secret := auth.NewSecret(auth.Key)
	hash := auth.HashOf(secret)
	for range 2 {
		shown, cred, err := r.registry.AddKey(t.Context(), r.admin.By(), auth.KeySpec{User: "ann", Hash: &hash, Label: "build"})
		if err != nil || shown != "" || cred.ID != hash.ID().String() || cred.Label != "build" {
			t.Errorf("got %q, %+v, %v", shown, cred, err)
		}
	}
	r.as(secret)
	if creds, _ := r.registry.Creds(auth.Key, "ann", "", 10); len(creds) != 2 {
		t.Errorf("got %+v, want two keys", creds)
	}
}

// Sessions must be made by the right password only, be bounded, renewed and ended.
func TestSessions(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.user("ann", "read:a/")
	password := "correct horse battery"
	if _, err := r.registry.SetUser(ctx, r.admin.By(), "ann", auth.UserSpec{Password: &password}, auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{{"ann", "wrong"}, {"nobody", password}, {"", ""}, {"admin", ""}, {"a/b", password}} {
		before := r.registry.Passwords.Hashed()
		if _, _, err := r.registry.Login(ctx, c[0], c[1]); !errors.Is(err, auth.ErrWrongPassword) {
			t.Errorf("%q: got %v, want %v", c, err, auth.ErrWrongPassword)
		}
		if n := r.registry.Passwords.Hashed() - before; n != 1 {
			t.Errorf("%q: %d hashes, want one whatever the name", c, n)
		}
	}
	first, who, err := r.registry.Login(ctx, "ann", password)
	if err != nil || who.Kind() != auth.Session || who.Expires() == 0 {
		t.Fatalf("got %v, %v", who, err)
	}
	session := r.as(first)
	own, _, err := r.registry.AddKey(ctx, session.By(), auth.KeySpec{User: "ann"})
	if err != nil {
		t.Errorf("a session makes a key for its own user: %v", err)
	}
	if _, _, err := r.registry.AddKey(ctx, session.By(), auth.KeySpec{User: "admin"}); err == nil {
		t.Error("a session made a key for another user")
	}
	if err := r.registry.Revoke(ctx, session.By(), auth.Key, auth.HashOf(r.secret).ID()); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("another user's key: got %v, want %v", err, auth.ErrNotFound)
	}
	if err := r.registry.Revoke(ctx, session.By(), auth.Key, auth.HashOf(own).ID()); err != nil {
		t.Errorf("one's own key: %v", err)
	}
	second, _, err := r.registry.Renew(ctx, session.By())
	if err != nil {
		t.Fatal(err)
	}
	r.as(first)
	r.clock.Store(61_000)
	if _, err := r.table.Authenticate([]byte(first)); err == nil {
		t.Error("a session lives long after it was renewed")
	}
	third, _, err := r.registry.Login(ctx, "ann", password)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.registry.SetPassword(ctx, r.as(third).By(), "wrong password", "another password"); !errors.Is(err, auth.ErrWrongPassword) {
		t.Errorf("a wrong old password: got %v", err)
	}
	if err := r.registry.SetPassword(ctx, r.as(third).By(), password, "another password"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.table.Authenticate([]byte(second)); err == nil {
		t.Error("another session outlived the password")
	}
	if err := r.registry.Logout(ctx, r.as(third).By(), false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.table.Authenticate([]byte(third)); reason(err) != "unknown" {
		t.Errorf("after logout: got %v, want unknown", err)
	}
}

// If this failed, the streams of a session would end as it is renewed, or never, because it ends
// earlier then than was known when they began.
func TestRenewedSessionEndsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		const password = "correct horse battery"
		r.user("ann", "read:a")
		set := password
		if _, err := r.registry.SetUser(t.Context(), r.admin.By(), "ann", auth.UserSpec{Password: &set}, auth.Condition{}); err != nil {
			t.Fatal(err)
		}
		secret, _, err := r.registry.Login(t.Context(), "ann", password)
		if err != nil {
			t.Fatal(err)
		}
		session := r.as(secret)
		who := session.Caller()
		who.Follow()
		defer who.Unfollow()
		if _, _, err := r.registry.Renew(t.Context(), session.By()); err != nil {
			t.Fatal(err)
		}
		if ended := who.Look().Ended; ended != "" {
			t.Errorf("at once: got %q, want a minute more", ended)
		}
		before := r.changes.Load()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if ended := who.Look().Ended; ended != auth.Expired || r.changes.Load() == before {
			t.Errorf("after a minute: got %q, told %v, want that it has expired", ended, r.changes.Load() != before)
		}
	})
}

// If this failed, who can start the server with its data could not come in again.
func TestRecover(t *testing.T) {
	r := newRig(t)
	second := r.user("second", "admin")
	if err := r.registry.DeleteUser(t.Context(), r.as(second).By(), "admin", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	secret := auth.NewSecret(auth.Key)
	if err := r.registry.Recover(t.Context(), secret, time.Hour); err != nil {
		t.Fatal(err)
	}
	if !r.as(secret).Caller().Look().Can(auth.Admin) {
		t.Error("the key that was recovered is no administrator's")
	}
	var all []string
	for rec := range r.state.PrivateRecords() {
		all = append(all, rec.Name)
	}
	if err := r.registry.Forget(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if !r.table.Empty() || r.state.Stats().PrivateRecords != 0 {
		t.Error("something is left")
	}
	if _, err := r.table.Authenticate([]byte(secret)); err == nil {
		t.Error("a credential that was forgotten is good")
	}
}
