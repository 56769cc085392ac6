package auth_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv"
)

// lastUse returns the day on which a key was used last.
func (r *rig) lastUse(secret string) string {
	r.t.Helper()
	c, ok := r.registry.Cred(auth.HashOf(secret).ID())
	if !ok {
		r.t.Fatal("there is no such key")
	}
	return c.Used
}

// written has the uses written, and returns how many commands that took.
func (r *rig) written() (n int) {
	r.t.Helper()
	for more := true; more; {
		before := r.state.Position()
		var err error
		if more, err = r.registry.WriteUses(context.Background()); err != nil {
			r.t.Fatal(err)
		}
		if r.state.Position() != before {
			n++
		}
	}
	return n
}

// If this failed, an operator could not tell which keys are not used any more; or each use would cost a write,
// or have every stream of the key looked at.
func TestLastUse(t *testing.T) {
	r := newRig(t)
	ann, unused := r.user("ann", "read:a/"), r.key(auth.KeySpec{User: "admin"})
	r.written() // that of the administrator
	if got := r.lastUse(ann) + r.lastUse(unused); got != "" {
		t.Errorf("before the first use: got %q", got)
	}
	who, err := r.table.Authenticate([]byte(ann))
	if err != nil {
		t.Fatal(err)
	}
	standing := who.Look()
	day := func() string { return time.UnixMilli(r.table.Now()).UTC().Format(time.DateOnly) }
	if n := r.written(); n != 1 || r.lastUse(ann) != day() || r.lastUse(unused) != "" {
		t.Errorf("after the first use: %d commands, got %q and %q, want %q", n, r.lastUse(ann), r.lastUse(unused), day())
	}
	if who.Look() != standing || who.Good() != nil {
		t.Error("the caller's standing has changed")
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { r.as(ann) })
	}
	wait.Wait()
	if n := r.written(); n != 0 {
		t.Errorf("later uses of a day took %d commands", n)
	}
	r.clock.Add(24 * time.Hour.Milliseconds())
	for range 3 {
		r.as(ann)
	}
	if n := r.written(); n != 1 || r.lastUse(ann) != day() {
		t.Errorf("on the next day: %d commands, got %q, want %q", n, r.lastUse(ann), day())
	}
}

// If this failed, two servers would each write the same day, or one would bring a key back that the other
// has revoked.
func TestLastUseOfTwoServers(t *testing.T) {
	r := newRig(t)
	ann, bob := r.user("ann", "read:a/"), r.user("bob", "read:b/")
	r.written()
	other := r.newTable(r.wrapper)
	other.PrivateReset(r.state.PrivateRecords(), kv.Rev(r.state.AuthRev()), 7)
	if _, err := other.Authenticate([]byte(ann)); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Authenticate([]byte(bob)); err != nil {
		t.Fatal(err)
	}
	r.as(ann)
	r.written()
	if err := r.registry.Revoke(t.Context(), r.admin.By(), auth.Key, auth.HashOf(bob).ID()); err != nil {
		t.Fatal(err)
	}
	other.PrivateReset(r.state.PrivateRecords(), kv.Rev(r.state.AuthRev()), 7) // it learns of both
	before := r.state.Position()
	if _, err := auth.NewRegistry(other, r.store, nil).WriteUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.state.Position() != before {
		t.Error("what is known was written again")
	}
	if _, ok := r.registry.Cred(auth.HashOf(bob).ID()); ok {
		t.Error("the revoked key is back")
	}
}
