package app_test

import (
	"testing"
	"time"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/kv/lock"
)

// If this failed, a program that embeds the store could not take locks and leases
// as its clients do.
func TestEngineLeasesAndLocks(t *testing.T) {
	e, err := app.Open(t.Context(), app.Config{MemoryOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	want := func(what string, r kv.Result, err error, outcome kv.Outcome) kv.Result {
		t.Helper()
		if err != nil || r.Outcome != outcome {
			t.Fatalf("%s: got %+v, %v, want outcome %d", what, r, err, outcome)
		}
		return r
	}
	r, err := e.Grant(t.Context(), time.Hour)
	id := want("grant", r, err, kv.Committed).Lease.ID
	r, err = e.KeepAlive(t.Context(), id)
	want("renewal", r, err, kv.Committed)
	r, err = e.Revoke(t.Context(), id)
	want("end", r, err, kv.Committed)
	r, err = e.KeepAlive(t.Context(), id)
	want("renewal after the end", r, err, kv.LeaseEnded)

	q := lock.Request{Name: "l", TTL: time.Hour, Owner: "me"}
	r, err = e.Lock(t.Context(), q)
	token := want("lock", r, err, kv.Committed).Lease.Token
	r, err = e.Lock(t.Context(), q)
	want("held lock", r, err, kv.LockHeld)
	r, err = e.KeepLock(t.Context(), "l", token)
	want("renewal of the lock", r, err, kv.Committed)
	r, err = e.Unlock(t.Context(), "l", token)
	want("release", r, err, kv.Committed)
	r, err = e.KeepLock(t.Context(), "l", token)
	want("renewal after the release", r, err, kv.LockLost)
}
