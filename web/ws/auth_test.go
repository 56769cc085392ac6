package ws_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/auth"
	"keywatch/web/ws/wstest"
)

// bubbleFor serves one connection of a server with authentication. It is that of a caller with a key
// that lives for ttl, or of one without a credential if ttl is 0; key makes another key of the same
// caller, or of another user.
func bubbleFor(t *testing.T, ttl time.Duration, test func(t *testing.T, w *world, conn net.Conn, key func(user string) string)) {
	bubbleOf(t, nil, ttl, test)
}

// bubbleOf is bubbleFor whose callers have the tokens of an issuer instead of keys, unless that is nil.
func bubbleOf(t *testing.T, idp *issuer, ttl time.Duration, test func(t *testing.T, w *world, conn net.Conn, key func(user string) string)) {
	synctest.Test(t, func(t *testing.T) {
		wrapper, err := auth.WrapperOf(auth.NewSealKey())
		if err != nil {
			t.Fatal(err)
		}
		opts := auth.TableOptions{Wrapper: wrapper}
		if idp != nil {
			opts.Verifier = idp
		}
		table := auth.NewTable(opts)
		table.SetSigners([]string{"k"})
		defer table.Close()
		w := newServerFor(t, table, nil)
		w.state.FollowPrivate(table)
		table.OnChange(func() { go w.server.Recheck() })
		accounts := auth.NewRegistry(table, w.store, nil)
		secret := auth.NewSecret(auth.Key)
		if _, err := accounts.Bootstrap(t.Context(), secret, 24*time.Hour); err != nil {
			t.Fatal(err)
		}
		root, err := table.Authenticate([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		admin := auth.NewDoor(w.store, w.hub, table).As(root).By()
		grant, err := auth.ParseGrant("read,watch,write:a/")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := accounts.PutRole(t.Context(), admin, "r", []auth.Grant{grant}, auth.Condition{}); err != nil {
			t.Fatal(err)
		}
		keyFor := func(user string, ttl time.Duration) string {
			if idp != nil {
				return idp.token(user, time.Now().Add(ttl))
			}
			if _, ok := accounts.User(user); !ok {
				if _, err := accounts.AddUser(t.Context(), admin, user, auth.UserSpec{Roles: &[]string{"r"}}); err != nil {
					t.Fatal(err)
				}
			}
			secret, _, err := accounts.AddKey(t.Context(), admin, auth.KeySpec{User: user, TTL: ttl})
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
		w.who = table.Anonymous()
		if ttl != 0 {
			if w.who, err = table.Verify([]byte(keyFor("ann", ttl)), ""); err != nil {
				t.Fatal(err)
			}
		}
		bubbleIn(t, w, func(t *testing.T, w *world, conn net.Conn) {
			test(t, w, conn, func(user string) string { return keyFor(user, time.Hour) })
		})
	})
}

// An issuer makes tokens, and verifies those that it has made.
type issuer struct{ made map[string]auth.Identity }

// token returns one of the largest size, for a user with the role r.
func (i *issuer) token(user string, expires time.Time) string {
	text := fmt.Sprintf("eyJ%d.", len(i.made))
	text += strings.Repeat("a", auth.TokenMax-len(text)-2) + ".s"
	if i.made == nil {
		i.made = make(map[string]auth.Identity)
	}
	i.made[text] = auth.Identity{Issuer: "idp", Name: user, Roles: []string{"r"}, Expires: expires.UnixMilli(), Signer: "k"}
	return text
}

// Verify implements auth.Verifier.
func (i *issuer) Verify(token, _ string) (auth.Identity, error) {
	id, ok := i.made[token]
	if !ok {
		return id, &auth.FailedError{Reason: auth.Unknown, Detail: "wrong signature"}
	}
	return id, nil
}

// A page is a client that answers pings.
type page struct {
	raw    *wstest.Raw
	frames chan string // what comes but pings; closed by a close frame
	code   int
}

func newPage(t *testing.T, conn net.Conn, query string) *page {
	p := &page{raw: wstest.Upgrade(t, conn, query, ""), frames: make(chan string, 100)}
	go func() {
		defer close(p.frames)
		for {
			switch first, payload := p.raw.Frame(); first {
			case wstest.Text:
				p.frames <- payload
			case 0x89:
				_, _ = io.WriteString(conn, wstest.Masked(0x8a, payload)) // the server may have closed
			case 0x88:
				p.code = int(payload[0])<<8 | int(payload[1])
				_, _ = io.WriteString(conn, wstest.Masked(0x88, "\x03\xe8"))
				return
			default:
				return
			}
		}
	}()
	return p
}

func (p *page) say(format string, args ...any) {
	p.raw.Send(wstest.Masked(wstest.Text, fmt.Sprintf(format, args...)))
}

// next returns the next message that is no progress.
func (p *page) next() string {
	for m := range p.frames {
		if !strings.Contains(m, `"progress"`) {
			return m
		}
	}
	return "closed"
}

// want checks that the next message has some texts.
func (p *page) want(texts ...string) {
	p.raw.T.Helper()
	got := p.next()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			p.raw.T.Errorf("got %s, want %s", got, text)
		}
	}
}

// wantClose checks that nothing more comes but a close frame with a code.
func (p *page) wantClose(code int) {
	p.raw.T.Helper()
	if got := p.next(); got != "closed" || p.code != code {
		p.raw.T.Errorf("got %s, %d, want to be closed with %d", got, p.code, code)
	}
}

// A client must be told before its credential expires, and must be able to continue with another one
// without a gap or a repetition, although it is late.
func TestSocketContinuesWithAnotherCredential(t *testing.T) {
	t.Run("keys", func(t *testing.T) { continues(t, nil) })
	t.Run("tokens", func(t *testing.T) { continues(t, new(issuer)) })
}

func continues(t *testing.T, idp *issuer) {
	bubbleOf(t, idp, time.Minute, func(t *testing.T, w *world, conn net.Conn, key func(string) string) {
		p := newPage(t, conn, "?key=a/1")
		p.want(`"reset"`)
		p.want(`"synced"`)
		time.Sleep(31 * time.Second)
		p.want(`{"type":"auth","expires_ms":30000}`)
		w.write("a/1", "before")
		p.want(`"value":"before"`)
		time.Sleep(30 * time.Second)
		p.want(`{"type":"denied","code":"expired","grace_ms":15000}`)
		w.write("a/1", "meanwhile")
		p.say(`{"id":1,"op":"get","key":"a/1"}`)
		p.want(`"status":401`, `"reason":"expired"`)
		p.say(`{"id":2,"op":"auth","token":%q}`, key("bob"))
		p.want(`"status":403`)
		time.Sleep(10 * time.Second)
		p.say(`{"id":3,"op":"auth","token":%q}`, key("ann"))
		both := p.next() + p.next() // the answer and the event, in either order
		for _, want := range []string{`{"id":3,"ok":true,"user":"ann"}`, `"value":"meanwhile"`} {
			if !strings.Contains(both, want) {
				t.Errorf("got %s, want %s", both, want)
			}
		}
		time.Sleep(20 * time.Second) // beyond the grace
		w.write("a/1", "after")
		p.want(`"value":"after"`)
	})
}

// Who brings no other credential in time must be told so for each watch, and be closed.
func TestSocketEndsAfterGrace(t *testing.T) {
	bubbleFor(t, time.Minute, func(t *testing.T, w *world, conn net.Conn, _ func(string) string) {
		p := newPage(t, conn, "?key=a/1")
		p.want(`"reset"`)
		p.want(`"synced"`)
		time.Sleep(61 * time.Second)
		p.want(`"auth"`)
		p.want(`"grace_ms"`)
		w.write("a/1", "x")
		time.Sleep(15 * time.Second)
		p.want(`{"type":"denied","code":"expired","watch":0}`)
		p.wantClose(3501)
	})
}

// A page must be able to say who it is after the handshake, must get nothing before that, and must not
// take up a place for long without.
func TestSocketProvesItselfLater(t *testing.T) {
	t.Run("keys", func(t *testing.T) { provesLater(t, nil) })
	t.Run("tokens", func(t *testing.T) { provesLater(t, new(issuer)) })
}

func provesLater(t *testing.T, idp *issuer) {
	bubbleOf(t, idp, 0, func(t *testing.T, w *world, conn net.Conn, key func(string) string) {
		p := newPage(t, conn, "")
		for i, say := range []string{`{"id":%d,"op":"ping"}`, `{"id":%d,"op":"get","key":"a/1"}`, `{"id":%d,"op":"watch","keys":["a/1"]}`, `{"id":%d,"op":"auth","token":"x"}`} {
			p.say(say, i+1)
			p.want(`"status":401`)
		}
		p.say(`{"id":9,"op":"auth","token":%q}`, key("ann"))
		p.want(`{"id":9,"ok":true,"user":"ann"}`)
		time.Sleep(10 * time.Second)
		p.say(`{"id":10,"op":"watch","keys":["b"]}`)
		p.want(`"status":403`, `:b"`)
		p.say(`{"id":11,"op":"ping"}`)
		p.want(`"ok":true`)
	})
	bubbleFor(t, 0, func(t *testing.T, w *world, conn net.Conn, _ func(string) string) {
		p := newPage(t, conn, "")
		time.Sleep(6 * time.Second)
		p.wantClose(3501)
	})
	bubbleFor(t, 0, func(t *testing.T, w *world, conn net.Conn, _ func(string) string) {
		p := newPage(t, conn, "")
		large := wstest.Masked(wstest.Text, `{"id":1,"op":"put","key":"a/1","value":"`+strings.Repeat("x", 5000)+`"}`)
		go io.WriteString(conn, large) // it may be cut short
		p.wantClose(1009)
	})
}
