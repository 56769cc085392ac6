package auth_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// reason returns why a credential was not accepted.
func reason(err error) string {
	if f, ok := errors.AsType[*auth.FailedError](err); ok {
		return f.Reason
	}
	return fmt.Sprint(err)
}

// A credential that is not good must be told apart from none, and why only to who has it.
func TestAuthenticate(t *testing.T) {
	r := newRig(t)
	good := r.user("ann", "read:a/")
	short := r.key(auth.KeySpec{User: "ann", TTL: time.Minute})
	gone := r.key(auth.KeySpec{User: "ann"})
	bob := r.user("bob", "read:a/")
	if err := r.registry.Revoke(t.Context(), r.admin.By(), auth.Key, auth.HashOf(gone).ID()); err != nil {
		t.Fatal(err)
	}
	off := true
	if _, err := r.registry.SetUser(t.Context(), r.admin.By(), "bob", auth.UserSpec{Disabled: &off}, auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{good, short} {
		if _, err := r.table.Authenticate([]byte(secret)); err != nil {
			t.Errorf("a good key: %v", err)
		}
	}
	r.clock.Store(time.Hour.Milliseconds())
	for _, c := range []struct{ secret, want string }{
		{"", "malformed"}, {"x", "malformed"}, {good[:20], "malformed"}, {strings.ToLower(good), "malformed"},
		{auth.NewSecret(auth.Key), "unknown"}, {gone, "unknown"}, {short, "expired"}, {bob, "disabled"},
		{auth.HashOf(good).ID().String(), "malformed"},
	} {
		if _, err := r.table.Authenticate([]byte(c.secret)); reason(err) != c.want {
			t.Errorf("%.8q: got %v, want %s", c.secret, err, c.want)
		}
	}
	// The clock for ends never steps back.
	r.clock.Store(0)
	if _, err := r.table.Authenticate([]byte(short)); reason(err) != "expired" {
		t.Errorf("after the clock stepped back: got %v, want expired", err)
	}
}

// If this failed, a caller that is not touched by a change would have its streams looked at, or one
// that is would keep what it had.
func TestStandingChangesForWhoIsTouchedOnly(t *testing.T) {
	r := newRig(t)
	ann, bob := r.as(r.user("ann", "read:a/")).Caller(), r.as(r.user("bob", "read:b/")).Caller()
	bound := r.as(r.key(auth.KeySpec{User: "ann", Bound: true, Grants: grants(t, "read:a/x/", "read:b/")})).Caller()
	before, other, own := ann.Look(), bob.Look(), bound.Look()
	if !own.Key(auth.Read, "a/x/1") || own.Key(auth.Read, "a/y") || own.Key(auth.Read, "b/1") {
		t.Error("a key may do what its owner may not, or more than it was given")
	}
	r.role("other", "read:c/")
	r.role("bob", "read:b/", "read:c/")
	if ann.Look() != before || bound.Look() != own {
		t.Error("another user's role changed the standing of ann")
	}
	if bob.Look() == other || bob.Look().Since != other.Since+1 || !bob.Look().Key(auth.Read, "c/1") {
		t.Error("bob did not get what the role was given")
	}
	r.role("ann", "read:a/y/")
	if s := bound.Look(); s.Key(auth.Read, "a/x/1") || s == own {
		t.Error("a key kept what its owner lost")
	}
	if err := r.registry.DeleteRole(t.Context(), r.admin.By(), "ann", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	if s := ann.Look(); !s.Empty() || s.Ended != "" {
		t.Errorf("without its role: got %+v, want no grants, and a good credential", s)
	}
	if err := r.registry.DeleteUser(t.Context(), r.admin.By(), "ann", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	if s := ann.Look(); s.Ended != auth.Revoked || !s.Empty() {
		t.Errorf("without its user: got %+v, want it to be revoked", s)
	}
	if r.changes.Load() == 0 {
		t.Error("who watches was not woken")
	}
}

// If this failed, a server that starts again would know less, or a wrong sealing key would pass
// unnoticed and everyone's rights would be gone.
func TestTableIsLoadedFromRecords(t *testing.T) {
	r := newRig(t)
	secret := r.user("ann", "read:a/")
	load := func(w auth.Wrapper) *auth.Table {
		table := r.newTable(w)
		table.PrivateReset(r.state.PrivateRecords(), r.state.AuthRev(), 7)
		return table
	}
	again := load(r.wrapper)
	c, err := again.Authenticate([]byte(secret))
	if err != nil || again.Err() != nil || !c.Look().Key(auth.Read, "a/1") || again.AuthRev() != r.table.AuthRev() {
		t.Errorf("loaded again: got %v, %v", err, again.Err())
	}
	wrong := load(newWrapper(t))
	if err := wrong.Err(); !errors.Is(err, auth.ErrSealed) {
		t.Errorf("with another sealing key: got %v, want %v", err, auth.ErrSealed)
	}
	if _, err := wrong.Authenticate([]byte(secret)); err == nil {
		t.Error("with another sealing key a credential was accepted")
	}
	// A record that is swapped with another of its kind does not open.
	var records []kv.PrivateRecord
	var roles []int
	for rec := range r.state.PrivateRecords() {
		if strings.HasPrefix(rec.Name, "role/") {
			roles = append(roles, len(records))
		}
		records = append(records, rec)
	}
	a, b := &records[roles[0]], &records[roles[1]]
	a.Value, b.Value = b.Value, a.Value
	swapped := r.newTable(r.wrapper)
	swapped.PrivateReset(slices.Values(records), 9, 7)
	if err := swapped.Err(); !errors.Is(err, auth.ErrSealed) {
		t.Errorf("with two records swapped: got %v, want %v", err, auth.ErrSealed)
	}
}

// If this failed, a reset would end streams whose credentials are as good as before, or keep those
// that are gone.
func TestResetKeepsCallers(t *testing.T) {
	r := newRig(t)
	ann, bob := r.as(r.user("ann", "read:a/")).Caller(), r.as(r.user("bob", "read:b/")).Caller()
	var kept []kv.PrivateRecord
	for rec := range r.state.PrivateRecords() {
		if rec.Name != "cred/"+bob.ID().String() {
			kept = append(kept, rec)
		}
	}
	r.table.PrivateReset(slices.Values(kept), r.state.AuthRev(), 7)
	if s := ann.Look(); s.Ended != "" || !s.Key(auth.Read, "a/1") {
		t.Errorf("a credential that is there: got %+v", s)
	}
	if s := bob.Look(); s.Ended != auth.Revoked {
		t.Errorf("one that is gone: got %+v, want it to be revoked", s)
	}
}

// A secret, password, name or metadata must stand in no record as it is.
func TestRecordsAreSealed(t *testing.T) {
	r := newRig(t)
	secret := r.user("ann-the-user", "read:the-prefix/")
	password, metadata := "the pass phrase", []byte(`{"mail":"the@mail"}`)
	spec := auth.UserSpec{Password: &password}
	if _, err := r.registry.SetUser(t.Context(), r.admin.By(), "ann-the-user", spec, auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	r.key(auth.KeySpec{User: "ann-the-user", Label: "the-label", Metadata: metadata})
	hash := auth.HashOf(secret)
	planted := [][]byte{[]byte(secret), []byte(password), []byte("ann-the-user"), []byte("the@mail"), []byte("the-label"), []byte("the-prefix"), hash[16:], []byte("argon2id")}
	find := func() (found []string) {
		for rec := range r.state.PrivateRecords() {
			for _, p := range planted {
				if bytes.Contains(rec.Value, p) || strings.Contains(rec.Name, string(p)) {
					found = append(found, rec.Name)
				}
			}
		}
		return found
	}
	if found := find(); found != nil {
		t.Errorf("records %q have what should be sealed", found)
	}
	// The control: what is not sealed is found.
	plain := kvtest.Put("x", "y")
	if _, err := r.store.Do(t.Context(), &kv.Command{Ops: []kv.Op{plain}}); err != nil {
		t.Fatal(err)
	}
	put := &kv.Command{Private: &kv.PrivateCommand{Puts: []kv.PrivateRecord{{Name: "user/plain", Value: []byte("ann-the-user")}}}}
	if _, err := r.store.Do(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	if found := find(); len(found) != 1 {
		t.Errorf("the control: found %q, want the record that is not sealed", found)
	}
}

// A ticket must be good for its names, its epoch, its origin and its time only, and end with the
// credential that it was made with.
func TestTicketsOfTable(t *testing.T) {
	r := newRig(t)
	secret := r.user("ann", "read,watch:a/", "write:a/")
	ann := r.as(secret)
	ticket := func(info auth.TicketInfo) string {
		info.Expires = r.table.Now() + 30_000
		text, err := r.registry.Ticket(ann.By(), info)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if _, err := r.registry.Ticket(ann.By(), auth.TicketInfo{Keys: []string{"b"}}); err == nil {
		t.Error("a ticket for what may not be watched was made")
	}
	once := ticket(auth.TicketInfo{Keys: []string{"a/1"}})
	c, err := r.table.UseTicket(once, "")
	if err != nil || !c.Look().Key(auth.Read, "a/1") || c.Look().Key(auth.Read, "a/2") || c.Look().Key(auth.Write, "a/1") {
		t.Errorf("got %v, want a ticket to read a/1 alone", err)
	}
	if _, err := r.registry.Ticket(r.door.As(c).By(), auth.TicketInfo{Keys: []string{"a/1"}}); err == nil {
		t.Error("a ticket made another")
	}
	if _, err := r.table.UseTicket(once, ""); reason(err) != "revoked" {
		t.Errorf("a second time: got %v, want revoked", err)
	}
	bound := ticket(auth.TicketInfo{Prefixes: []string{"a/"}, Reuse: true, Origin: "https://a.example"})
	for origin, want := range map[string]string{"https://a.example": "<nil>", "": "revoked", "https://b.example": "revoked"} {
		for range 2 {
			if _, err := r.table.UseTicket(bound, origin); reason(err) != want {
				t.Errorf("origin %q: got %v, want %s", origin, err, want)
			}
		}
	}
	c, _ = r.table.UseTicket(bound, "https://a.example")
	again := ticket(auth.TicketInfo{Keys: []string{"a/1"}})
	r.role("ann", "read,watch:a/1")
	if s := c.Look(); s.Ended != "" || s.Under(auth.Watch, "a/") || !s.Key(auth.Watch, "a/1") {
		t.Errorf("after its owner lost a/: got %+v", s)
	}
	r.clock.Store(31_000)
	if s, err := c.Look(), c.Good(); s.Ended == "" && err == nil {
		t.Error("a ticket outlived its time")
	}
	if _, err := r.table.UseTicket(again, ""); reason(err) != "expired" {
		t.Errorf("late: got %v, want expired", err)
	}
	r.clock.Store(0)
	late := r.newTable(r.wrapper)
	late.PrivateReset(r.state.PrivateRecords(), r.state.AuthRev(), 8)
	if _, err := late.UseTicket(bound, "https://a.example"); reason(err) != "revoked" {
		t.Errorf("in another epoch: got %v, want revoked", err)
	}
}

// A session must be void in another epoch: a restored backup has those that were ended since.
func TestSessionsEndWithTheEpoch(t *testing.T) {
	r := newRig(t)
	key := r.user("ann", "read:a/")
	password := "correct horse battery"
	if _, err := r.registry.SetUser(t.Context(), r.admin.By(), "ann", auth.UserSpec{Password: &password}, auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	session, _, err := r.registry.Login(t.Context(), "Ann", password)
	if err != nil {
		t.Fatal(err)
	}
	r.as(session)
	r.table.PrivateReset(r.state.PrivateRecords(), r.state.AuthRev(), 8)
	if _, err := r.table.Authenticate([]byte(session)); reason(err) != "revoked" {
		t.Errorf("a session in another epoch: got %v, want revoked", err)
	}
	r.as(key)
}

func BenchmarkAuthenticate(b *testing.B) {
	r := newRig(b)
	secret := []byte(r.user("ann", "read:a/"))
	for b.Loop() {
		c, err := r.table.Authenticate(secret)
		if err != nil || !c.Look().Key(auth.Read, "a/sensor-12") {
			b.Fatal(err)
		}
	}
}

func BenchmarkPassStill(b *testing.B) {
	r := newRig(b)
	p, err := r.as(r.user("ann", "read:a/")).MayKey(auth.Read, "a/1")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := p.Still(); err != nil {
			b.Fatal(err)
		}
	}
}
