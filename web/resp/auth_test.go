package resp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/test/gate"
	"keywatch/web/api"
	"keywatch/web/resp"
)

const wrongPass = "-WRONGPASS invalid username-password pair or user is disabled."

// password gives a user a password.
func (s *secured) password(name, password string) {
	s.t.Helper()
	if _, err := s.registry.SetUser(context.Background(), s.admin.By(), name, auth.UserSpec{Password: &password}, auth.Condition{}); err != nil {
		s.t.Fatal(err)
	}
}

// Every way in which clients of Redis say who they are must work, and what is wrong must change
// nothing: a user stays who it was.
func TestAuth(t *testing.T) {
	s := newSecured(t)
	ann, bob := s.user("ann", "read,write:a"), s.user("bob", "read,write:b")
	s.password("ann", "a long enough password")
	c := s.dial()
	script(t, c, strings.NewReplacer("{ann}", ann, "{bob}", bob).Replace(`
		GET a => -NOAUTH Authentication required.
		PING => -NOAUTH Authentication required.
		ACL WHOAMI => -NOAUTH Authentication required.
		HELLO 3 => -NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time
		AUTH default x => `+wrongPass+`
		AUTH kwk_0000000000000000000000000000000000000000000000000 => `+wrongPass+`
		AUTH bob {ann} => `+wrongPass+`
		AUTH a b c => -ERR syntax error
		AUTH => -ERR wrong number of arguments for 'auth' command
		NOSUCH => -ERR unknown command 'NOSUCH', with args beginning with: 
		AUTH {ann} => +OK
		ACL WHOAMI => "ann"
		SET a 1 => +OK
		GET b => -NOPERM No permissions to access a key: requires read:b
		CONFIG SET save x => -NOPERM User ann has no permissions to run the 'config|set' command: requires operate
		AUTH bob wrong-password-of-bob => `+wrongPass+`
		ACL WHOAMI => "ann"
		AUTH default {bob} => +OK
		ACL WHOAMI => "bob"
		GET a => -NOPERM No permissions to access a key: requires read:a
		AUTH ANN {ann} => +OK
		ACL WHOAMI => "ann"
		RESET => +RESET
		GET a => -NOAUTH Authentication required.
	`))
	if got := c.words("HELLO", "3", "AUTH", "ann", "a long enough password", "SETNAME", "me"); !strings.HasPrefix(got, `{"server" "redis"`) {
		t.Errorf("got %s", got)
	}
	c.want("ACL WHOAMI", `"ann"`)
	if got := c.say("CLIENT INFO"); !strings.Contains(got, "user=ann") || !strings.Contains(got, "name=me") {
		t.Errorf("got %s", got)
	}
	c.want("HELLO 3 AUTH bob x", wrongPass)
	c.want("ACL WHOAMI", `"ann"`)
}

// If this failed, a pool of connections would take a hash for each, or a password that was changed
// would go on being good.
func TestPasswordIsHashedOnce(t *testing.T) {
	s := newSecured(t)
	s.user("ann", "read:a")
	s.password("ann", "a long enough password")
	before := s.registry.Passwords.Hashed()
	var open []*client
	for range 5 {
		c := s.dial()
		if got := c.words("AUTH", "ann", "a long enough password"); got != "+OK" {
			t.Fatalf("got %s", got)
		}
		open = append(open, c)
	}
	if n := s.registry.Passwords.Hashed() - before; n != 1 {
		t.Errorf("5 connections took %d hashes, want 1", n)
	}
	s.password("ann", "another good password")
	for _, c := range open {
		c.ended()
	}
	c := s.dial()
	if got := c.words("AUTH", "ann", "a long enough password"); got != wrongPass {
		t.Errorf("the old password: got %s", got)
	}
	if got := c.words("AUTH", "ann", "another good password"); got != "+OK" {
		t.Errorf("the new password: got %s", got)
	}
}

// ended reads until the connection ends, and returns what came before that.
func (c *client) ended() (all []string) {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		reply, err := c.read()
		if err == nil {
			all = append(all, reply)
			continue
		}
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			c.t.Errorf("the connection stays, after %q", all)
		}
		return all
	}
}

// Callers without a credential may do what the role anonymous says, and no more.
func TestAnonymousHasItsRole(t *testing.T) {
	s := newSecured(t)
	s.role("anonymous", "read:public/")
	c := s.dial()
	c.want("GET public/1", "nil")
	c.want("ACL WHOAMI", `"default"`)
	c.want("GET private", "-NOAUTH Authentication required.")
	s.role("anonymous")
	c.want("GET public/1", "-NOAUTH Authentication required.")
}

// Leases and idempotency keys must count for the user: another's must look as if they did not exist.
func TestLeasesAreTheUsers(t *testing.T) {
	s := newSecured(t)
	ann, bob := s.as(s.user("ann", "read,write:a", "lease", "lock:l")), s.as(s.user("bob", "read,write:a", "lease", "lock:l"))
	lease := strings.Fields(strings.Trim(ann.say("KW.LEASE GRANT 60000"), "[]"))[0]
	id := strings.Trim(lease, `"`)
	for _, line := range []string{"KW.LEASE RENEW " + id, "KW.LEASE GET " + id, "KW.LEASE REVOKE " + id, "KW.LEASE BIND " + id, "KW.CAS a 0 x LEASE " + id} {
		bob.want(line, "-LEASEENDED the lease does not exist or has expired")
	}
	if got := ann.say("KW.CAS a 0 x LEASE " + id); !strings.HasPrefix(got, "[1 ") {
		t.Errorf("the owner: got %s", got)
	}
	token := strings.Fields(strings.Trim(ann.say("KW.LOCK l 60000"), "[]"))[0]
	bob.want("KW.RENEW l "+token, "0")
	bob.want("KW.UNLOCK l "+token, "0")
	ann.want("KW.UNLOCK l "+token, "1")
	for _, c := range []*client{ann, bob} {
		script(t, c, "MULTI => +OK\nKW.IDEM k => +QUEUED\nINCR a2 => -NOPERM No permissions to access a key: requires read:a2\nDISCARD => +OK\n")
		c.say("MULTI")
		c.say("KW.IDEM same")
		c.say("SET a 1")
		c.want("EXEC", "[+OK +OK]")
	}
}

// If this failed, a cursor would tell whether a key exists to who may not read it.
func TestCursorTellsNothing(t *testing.T) {
	s := newSecured(t)
	all := s.as(s.secret)
	all.want("MSET p/1 x p/2 x secret/1 x secret/2 x", "+OK")
	cursor := strings.Fields(strings.Trim(all.say("SCAN 0 MATCH secret/* COUNT 1"), "["))[0]
	ann := s.as(s.user("ann", "read:p/"))
	line := "SCAN " + strings.Trim(cursor, `"`) + " MATCH p/*"
	ann.want(line, "-ERR invalid cursor")
	all.want("FLUSHALL", "+OK")
	ann.want(line, "-ERR invalid cursor")
	all.want("MSET p/1 x p/2 x", "+OK")
	own := strings.Fields(strings.Trim(ann.say("SCAN 0 MATCH p/* COUNT 1"), "["))[0]
	if got := ann.say("SCAN " + strings.Trim(own, `"`) + " MATCH p/*"); !strings.HasPrefix(got, `["0" [`) {
		t.Errorf("the caller's own cursor: got %s", got)
	}
}

// INFO must leave out what tells of others without verb metrics, and say what clients ask before
// they begin.
func TestInfoIsCut(t *testing.T) {
	s := newSecured(t)
	ann := s.as(s.user("ann", "read:p/"))
	got := ann.say("INFO everything")
	for text, want := range map[string]bool{"redis_version:7.4.0": true, "loading:0": true, "role:master": true, "connected_clients": false, "cmdstat_": false, "db0": false, "used_memory": false} {
		if strings.Contains(got, text) != want {
			t.Errorf("%s: got it %v, want %v", text, !want, want)
		}
	}
	s.role("ann", "metrics")
	if got := ann.say("INFO everything"); !strings.Contains(got, "connected_clients") {
		t.Errorf("with metrics: got %s", got)
	}
}

// Who proves nothing must not hold memory or a place for long; who does must get both back.
func TestUnprovedIsBounded(t *testing.T) {
	s := newSecured(t, inClear)
	var open []*client
	for s.unproved.Len() < api.UnprovedPerAddress {
		c := s.dial()
		c.want("PING", "-NOAUTH Authentication required.")
		open = append(open, c)
	}
	c := s.dial()
	if got := c.reply(); got != "-ERR max number of clients reached" {
		t.Errorf("got %s", got)
	}
	open[0].want("AUTH "+s.secret, "+OK")
	if n := s.unproved.Len(); n != api.UnprovedPerAddress-1 {
		t.Errorf("%d have proved nothing, want one less", n)
	}
	again := s.dial()
	again.want("PING", "-NOAUTH Authentication required.")
	again.want("SET a "+strings.Repeat("x", 5000), "-NOAUTH Authentication required.")
	if got := open[0].say("SET a " + strings.Repeat("x", 5000)); got != "+OK" {
		t.Errorf("after AUTH: got %s", got)
	}
	for _, c := range append(open, again) {
		_ = c.conn.Close()
	}
	s.eventually("all have left", func() bool { return s.unproved.Len() == 0 })
}

// eventually waits until a condition holds.
func (s *secured) eventually(what string, holds func() bool) {
	s.t.Helper()
	gate.Until(s.t, holds, "never: %s", what)
}

// A connection that proves nothing must end in time; one that has must stay.
func TestCredentialsDoNotTakeForEver(t *testing.T) {
	s := newSecured(t, func(o *resp.Options) { o.ProofTime = 300 * time.Millisecond })
	late := s.dial()
	var proved *client
	s.eventually("one proves who it is in time", func() bool {
		proved = s.dial()
		_, _ = io.WriteString(proved.conn, encode("AUTH", s.secret))
		got, _ := proved.read()
		return got == "+OK"
	})
	if got := late.ended(); len(got) != 1 || got[0] != "-NOAUTH Authentication required." {
		t.Errorf("got %q", got)
	}
	proved.want("PING", "+PONG")
}
