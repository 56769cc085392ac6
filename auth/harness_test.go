package auth_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/watch"
)

// A rig is a store in memory with its table, registry and door, and an administrator.
type rig struct {
	t        testing.TB
	state    *kv.State
	store    *kv.Store
	table    *auth.Table
	registry *auth.Registry
	door     *auth.Door
	admin    auth.View
	secret   string
	wrapper  auth.Wrapper
	clock    atomic.Int64 // milliseconds that were added to the time
	changes  atomic.Int64
	verifier auth.Verifier
}

func newWrapper(t testing.TB) auth.Wrapper {
	t.Helper()
	w, err := auth.WrapperOf(auth.NewSealKey())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (r *rig) newTable(w auth.Wrapper) *auth.Table {
	table := auth.NewTable(auth.TableOptions{
		Wrapper: w, Logger: slog.New(slog.DiscardHandler), Verifier: r.verifier,
		Now: func() time.Time { return time.Now().Add(time.Duration(r.clock.Load()) * time.Millisecond) },
	})
	table.OnChange(func() { r.changes.Add(1) })
	r.t.Cleanup(table.Close)
	return table
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return newRigWith(t, nil)
}

// newRigWith is newRig with JWTs that a verifier verifies.
func newRigWith(t testing.TB, v auth.Verifier) *rig {
	t.Helper()
	r := &rig{t: t, wrapper: newWrapper(t), verifier: v}
	r.table = r.newTable(r.wrapper)
	hub := watch.New(watch.Options{})
	t.Cleanup(hub.Close)
	r.state = kv.NewState(kv.StateOptions{Presize: 64, Publisher: hub, Private: r.table})
	log, err := kvtest.NewDirect(r.state, 7, kv.Params{})
	if err != nil {
		t.Fatal(err)
	}
	hub.Bind(r.state)
	r.store = kv.NewStore(r.state, log, kv.Limits{})
	r.registry = auth.NewRegistry(r.table, r.store, nil)
	r.door = auth.NewDoor(r.store, hub, r.table)
	r.secret = auth.NewSecret(auth.Key)
	if made, err := r.registry.Bootstrap(t.Context(), r.secret, 24*time.Hour); err != nil || !made {
		t.Fatalf("bootstrap: got %v, %v", made, err)
	}
	r.admin = r.as(r.secret)
	return r
}

// as returns the view of who has a secret.
func (r *rig) as(secret string) auth.View {
	r.t.Helper()
	c, err := r.table.Authenticate([]byte(secret))
	if err != nil {
		r.t.Fatal(err)
	}
	return r.door.As(c)
}

// role makes or replaces a role.
func (r *rig) role(name string, texts ...string) {
	r.t.Helper()
	if _, _, err := r.registry.PutRole(context.Background(), r.admin.By(), name, grants(r.t, texts...), auth.Condition{}); err != nil {
		r.t.Fatal(err)
	}
}

// user makes a user with a role of its own, and a key for it; it returns the key's secret.
func (r *rig) user(name string, texts ...string) (secret string) {
	r.t.Helper()
	r.role(name, texts...)
	if _, err := r.registry.AddUser(context.Background(), r.admin.By(), name, auth.UserSpec{Roles: &[]string{name}}); err != nil {
		r.t.Fatal(err)
	}
	return r.key(auth.KeySpec{User: name})
}

func (r *rig) key(spec auth.KeySpec) (secret string) {
	r.t.Helper()
	secret, _, err := r.registry.AddKey(context.Background(), r.admin.By(), spec)
	if err != nil {
		r.t.Fatal(err)
	}
	return secret
}
