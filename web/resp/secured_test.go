package resp_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv/wake"
	"keywatch/web/api"
	"keywatch/web/resp"
)

// A secured is a server with authentication, and who made it.
type secured struct {
	*world
	table    *auth.Table
	registry *auth.Registry
	admin    auth.View
	secret   string
	unproved api.Unproved
}

func newSecured(t testing.TB, change ...func(*resp.Options)) *secured {
	t.Helper()
	return newSecuredWith(t, nil, change...)
}

// newSecuredWith is newSecured with JWTs that a verifier verifies.
func newSecuredWith(t testing.TB, v auth.Verifier, change ...func(*resp.Options)) *secured {
	t.Helper()
	wrapper, err := auth.WrapperOf(auth.NewSealKey())
	if err != nil {
		t.Fatal(err)
	}
	s := &secured{table: auth.NewTable(auth.TableOptions{Wrapper: wrapper, Verifier: v}), secret: auth.NewSecret(auth.Key)}
	t.Cleanup(s.table.Close)
	s.world = newWorld(t, append(change, func(o *resp.Options) {
		store := o.Door.Server()
		o.Door, o.Unproved = auth.NewDoor(store, o.Door.Hub(), s.table), &s.unproved
		o.Login = func(ctx context.Context, _, user, password string) (*auth.Caller, error) {
			return s.registry.Prove(ctx, user, password)
		}
		s.registry = auth.NewRegistry(s.table, store, nil)
		store.State().FollowPrivate(s.table)
		if made, err := s.registry.Bootstrap(t.Context(), s.secret, time.Hour); err != nil || !made {
			t.Fatalf("bootstrap: %v, %v", made, err)
		}
		who, err := s.table.Authenticate([]byte(s.secret))
		if err != nil {
			t.Fatal(err)
		}
		s.admin = o.Door.As(who)
	})...)
	s.follow()
	return s
}

// follow has the server look again at its callers when permissions change.
func (s *secured) follow() {
	changed, done := wake.New(), make(chan struct{})
	s.table.OnChange(changed.Wake)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		for {
			select {
			case <-changed:
				s.server.Recheck()
			case <-ctx.Done():
				return
			}
		}
	}()
	s.t.Cleanup(func() { stop(); <-done })
}

// role gives a role, and who has it, just these grants.
func (s *secured) role(name string, texts ...string) {
	s.t.Helper()
	var grants []auth.Grant
	for _, text := range texts {
		g, err := auth.ParseGrant(text)
		if err != nil {
			s.t.Fatal(err)
		}
		grants = append(grants, g)
	}
	if _, _, err := s.registry.PutRole(context.Background(), s.admin.By(), name, grants, auth.Condition{}); err != nil {
		s.t.Fatal(err)
	}
}

// user makes a user with a role and a password, and returns the secret of a key for it.
func (s *secured) user(name string, texts ...string) string {
	s.t.Helper()
	s.role(name, texts...)
	ctx := context.Background()
	if _, err := s.registry.AddUser(ctx, s.admin.By(), name, auth.UserSpec{Roles: &[]string{name}}); err != nil {
		s.t.Fatal(err)
	}
	secret, _, err := s.registry.AddKey(ctx, s.admin.By(), auth.KeySpec{User: name})
	if err != nil {
		s.t.Fatal(err)
	}
	return secret
}

// as opens a connection of who has a secret; "" proves nothing.
func (s *secured) as(secret string) *client {
	s.t.Helper()
	c := s.dial()
	if secret != "" {
		c.want("AUTH "+secret, "+OK")
	}
	return c
}

// denied reports whether a reply says that the caller may not.
func denied(reply string) bool {
	return strings.Contains(reply, "-NOPERM") || strings.Contains(reply, "-NOAUTH")
}
