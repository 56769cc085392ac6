package resp_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"keywatch/auth"
)

// If this failed, a refusal would tell what stands at a key that its caller may not read, or whether
// anything does. With the right the same lines must tell it, or this test looks at nothing.
func TestRefusalsTellNothing(t *testing.T) {
	s := newSecured(t)
	admin := s.as(s.secret)
	ann := s.user("ann")
	states := []string{"DEL a b p/1 locks", "MSET a 1 b 2 p/1 x", "MSET a secret b secret p/1 secret"}
	told := 0
	for _, c := range matrix {
		if !strings.Contains(c.grants, "read:") || strings.Contains(c.lines, "MULTI") || strings.Contains(c.lines, "HELLO") {
			continue
		}
		var without []string
		for _, g := range strings.Fields(c.grants) {
			if !strings.HasPrefix(g, "read:") {
				without = append(without, g)
			}
		}
		replies := func(grants ...string) map[string]bool {
			all := make(map[string]bool)
			s.role("ann", append(grants, "read:zz")...)
			for _, state := range states {
				admin.say(state)
				_, last := s.run(s.as(ann), c.lines)
				all[last] = true
			}
			return all
		}
		if got := replies(without...); len(got) != 1 {
			t.Errorf("%s with %q: got %v, want one reply whatever stands there", c.lines, without, got)
		}
		if len(replies(strings.Fields(c.grants)...)) > 1 {
			told++
		}
	}
	if told < 10 {
		t.Errorf("with the right %d lines tell what stands there, want most", told)
	}
}

// If this failed, one user's command would run as another's on the same connection.
func TestEachCommandIsItsUsers(t *testing.T) {
	s := newSecured(t)
	ann, bob := s.user("ann", "read:ann/"), s.user("bob", "read:bob/")
	s.as(s.secret).want("MSET ann/1 a bob/1 b", "+OK")
	var wait sync.WaitGroup
	for range 4 {
		c := s.dial()
		wait.Go(func() {
			var b strings.Builder
			for range 50 {
				for _, line := range []string{"AUTH " + ann, "GET ann/1", "GET bob/1", "AUTH " + bob, "GET ann/1", "GET bob/1"} {
					b.WriteString(encode(strings.Fields(line)...))
				}
			}
			go func() { _, _ = io.WriteString(c.conn, b.String()) }()
			for i := range 50 {
				for _, want := range []string{"+OK", `"a"`, "-NOPERM No permissions to access a key: requires read:bob/1", "+OK", "-NOPERM No permissions to access a key: requires read:ann/1", `"b"`} {
					if got, err := c.read(); err != nil || got != want {
						t.Errorf("round %d: got %s, %v, want %s", i, got, err, want)
						return
					}
				}
			}
		})
	}
	wait.Wait()
}

// If this failed, a write that was sent before a revocation would be applied after it.
func TestNothingIsWrittenAfterRevocation(t *testing.T) {
	s := newSecured(t)
	ann := s.user("ann", "write:a")
	c := s.as(ann)
	const n = 3000
	var b strings.Builder
	for i := range n {
		b.WriteString(encode("SET", "a", fmt.Sprint(i)))
	}
	go func() { _, _ = io.WriteString(c.conn, b.String()) }()
	for range 20 {
		if got := c.reply(); got != "+OK" {
			t.Fatalf("got %s", got)
		}
	}
	s.role("ann")
	revoked := s.store.State().AuthRev()
	good, refused := 0, 0
	for range n - 20 {
		switch got := c.reply(); {
		case got == "+OK":
			good++
			if refused > 0 {
				t.Error("a write was done after one was refused")
			}
		case strings.HasPrefix(got, "-NOPERM"), got == "-TRYAGAIN permissions_changed":
			refused++
		default:
			t.Fatalf("got %s", got)
		}
	}
	if e, _ := s.store.State().Get("a"); e == nil || e.Mod > revoked {
		t.Errorf("the key is at %+v, the right ended at %d", e, revoked)
	}
	t.Logf("%d done, %d refused", good, refused)
	s.as(s.secret).want("SET a last", "+OK")
}

// A client that lost its right must not be served as one without a credential.
func TestRevokedIsNotAnonymous(t *testing.T) {
	s := newSecured(t)
	s.role("anonymous", "read:public")
	ann := s.user("ann", "read:private")
	c := s.as(ann)
	c.want("GET public", "-NOPERM No permissions to access a key: requires read:public")
	if err := s.registry.DeleteUser(t.Context(), s.admin.By(), "ann", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	c.ended()
	again := s.dial()
	again.want("AUTH "+ann, wrongPass)
	again.want("GET private", "-NOAUTH Authentication required.")
}
