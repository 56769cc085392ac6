package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"keywatch/auth"
)

// byCertificate returns the caller of a certificate with names, which is verified and valid for an
// hour.
func (r *rig) byCertificate(names ...string) (*auth.Caller, error) {
	der := []byte("certificate of " + strings.Join(names, " "))
	return r.table.ByCertificate(auth.NewClientCert(names, der, time.Now().Add(time.Hour).UnixMilli()))
}

// setCerts has a user have names of certificates.
func (r *rig) setCerts(user string, names ...string) error {
	_, err := r.registry.SetUser(r.t.Context(), r.admin.By(), user, auth.UserSpec{Certs: &names}, auth.Condition{})
	return err
}

// reasonOf returns why a credential was not accepted, empty if it was.
func reasonOf(t testing.TB, err error) string {
	t.Helper()
	failed, ok := errors.AsType[*auth.FailedError](err)
	if err != nil && !ok {
		t.Fatalf("got %v, want a *FailedError", err)
	}
	if err == nil {
		return ""
	}
	return failed.Reason
}

// If this failed, a certificate would be for another user, or for one whose name it does not have.
func TestByCertificate(t *testing.T) {
	r := newRig(t)
	ann, eve := r.as(r.user("ann", "read:a/")).User(), r.as(r.user("eve", "read:e/")).User()
	for user, names := range map[string][]string{
		"ann": {"uri:spiffe://a/ann", "dns:Ann.Example", "email:Ann@Example.org", "cn:Ann"}, "eve": {"cn:eve"},
	} {
		if err := r.setCerts(user, names...); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		names  []string
		user   string
		reason string
	}{
		{[]string{"uri:spiffe://a/ann"}, ann, ""},
		{[]string{"dns:ann.example"}, ann, ""},
		{[]string{"dns:ANN.EXAMPLE", "cn:unknown"}, ann, ""},
		{[]string{"email:ann@example.org"}, ann, ""},
		{[]string{"cn:Ann", "uri:spiffe://a/ann"}, ann, ""},
		{[]string{"cn:eve"}, eve, ""},
		{[]string{"cn:ann"}, "", auth.Unknown},
		{[]string{"dns:eve"}, "", auth.Unknown},
		{[]string{"uri:spiffe://a/ann/more"}, "", auth.Unknown},
		{[]string{"cn:eve", "uri:spiffe://a/ann"}, "", auth.Unknown}, // of two users
		{nil, "", auth.Unknown},
	} {
		who, err := r.byCertificate(c.names...)
		if got := reasonOf(t, err); got != c.reason {
			t.Errorf("%v: got reason %q, want %q", c.names, got, c.reason)
			continue
		}
		if err == nil && (who.User() != c.user || who.Kind() != auth.Certificate || who.ID() == (auth.CredID{})) {
			t.Errorf("%v: got user %s, want %s, with an id", c.names, who.User(), c.user)
		}
	}
	many := append(slices.Repeat([]string{"dns:x.example"}, 200), "cn:Ann")
	if _, err := r.byCertificate(many...); reasonOf(t, err) != auth.Malformed {
		t.Errorf("200 names: got %v, want %s", err, auth.Malformed)
	}
	end := time.Now().Add(time.Hour).UnixMilli()
	a, _ := r.table.ByCertificate(auth.NewClientCert([]string{"cn:Ann"}, []byte("one"), end))
	b, _ := r.table.ByCertificate(auth.NewClientCert([]string{"cn:Ann"}, []byte("renewed"), end))
	if a.User() != b.User() || a.ID() == b.ID() || a.Expires() != end {
		t.Error("two certificates of one name are not two credentials of one user")
	}
}

// If this failed, a certificate would be good for what it has opened after it was revoked or has ended.
func TestCertificateEnds(t *testing.T) {
	for _, c := range []struct {
		name, why string
		end       func(*rig) error
	}{
		{"nothing", "", func(*rig) error { return nil }},
		{"another name", "", func(r *rig) error { return r.setCerts("ann", "cn:more", "cn:ann") }},
		{"name removed", auth.Revoked, func(r *rig) error { return r.setCerts("ann", "cn:more") }},
		{"user deleted", auth.Revoked, func(r *rig) error {
			return r.registry.DeleteUser(r.t.Context(), r.admin.By(), "ann", auth.Condition{})
		}},
		{"user disabled", auth.Disabled, func(r *rig) error {
			yes := true
			_, err := r.registry.SetUser(r.t.Context(), r.admin.By(), "ann", auth.UserSpec{Disabled: &yes}, auth.Condition{})
			return err
		}},
		{"name moved to another", auth.Revoked, func(r *rig) error {
			r.user("eve", "read:e/")
			if err := r.setCerts("ann"); err != nil {
				return err
			}
			return r.setCerts("eve", "cn:ann")
		}},
		{"time", auth.Expired, func(r *rig) error { r.clock.Add(2 * time.Hour.Milliseconds()); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.user("ann", "read:a/")
			if err := r.setCerts("ann", "cn:ann"); err != nil {
				t.Fatal(err)
			}
			who, err := r.byCertificate("cn:ann")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.end(r); err != nil {
				t.Fatal(err)
			}
			if got := reasonOf(t, who.Good()); got != c.why {
				t.Errorf("what it has opened: got %q, want %q", got, c.why)
			}
		})
	}
}

// If this failed, two spellings of a name would be two users', or a text that is no name would be kept.
func TestFoldCert(t *testing.T) {
	for in, want := range map[string]string{
		"dns:A.Example": "dns:a.example", "email:A@B.c": "email:a@b.c", "cn:Ann B": "cn:Ann B", "uri:spiffe://A/b": "uri:spiffe://A/b",
		"": "", "ann": "", "cn:": "", "ip:1.2.3.4": "", "DNS:a": "", "cn:" + strings.Repeat("x", 512): "",
	} {
		got, err := auth.FoldCert(in)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, auth.ErrBadRequest) {
			t.Errorf("%.40q: got %q, %v, want %q", in, got, err, want)
		}
	}
	r := newRig(t)
	r.user("ann", "read:a/")
	r.user("eve", "read:e/")
	if err := r.setCerts("ann", "dns:a.example", "dns:A.example"); err != nil {
		t.Fatal(err)
	}
	if u, _ := r.registry.User("ann"); len(u.Certs) != 1 {
		t.Errorf("got %v, want the name once", u.Certs)
	}
	if err := r.setCerts("eve", "dns:A.EXAMPLE"); !errors.Is(err, auth.ErrExists) {
		t.Errorf("the name of another user: got %v, want %v", err, auth.ErrExists)
	}
	many := make([]string, auth.CertsPerUser+1)
	for i := range many {
		many[i] = "cn:" + strings.Repeat("x", i+1)
	}
	if err := r.setCerts("ann", many...); !errors.Is(err, auth.ErrBadRequest) {
		t.Errorf("%d names: got %v, want %v", len(many), err, auth.ErrBadRequest)
	}
}
