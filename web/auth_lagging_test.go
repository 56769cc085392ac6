package web_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/app/certs/certstest"
	"keywatch/auth"
	"keywatch/kv"
	"keywatch/web"
	"keywatch/web/ws"
	"keywatch/web/ws/wstest"
)

// A lagging is a server that has not applied yet what was made at another one, with which users and credentials are
// made.
type lagging struct {
	*secured
	mu    sync.Mutex
	holds bool
	held  []func()
	asked int
	fails error
}

// newLagging returns a server that applies at once until lag is called.
func newLagging(t *testing.T, change ...func(*web.Options)) *lagging {
	t.Helper()
	wrapper, err := auth.WrapperOf(auth.NewSealKey())
	if err != nil {
		t.Fatal(err)
	}
	l := &lagging{}
	elsewhere := auth.NewTable(auth.TableOptions{Wrapper: wrapper})
	here := auth.NewTable(auth.TableOptions{Wrapper: wrapper, Barrier: l.begin})
	t.Cleanup(elsewhere.Close)
	t.Cleanup(here.Close)
	l.secured = &secured{table: here, secret: auth.NewSecret(auth.Key)}
	var store *kv.Store
	l.world = newWorldWith(t, kv.Params{}, kv.Limits{}, append(change, func(o *web.Options) {
		o.Auth, store = here, o.Store
		l.registry = auth.NewRegistry(elsewhere, store, nil)
		o.Accounts = auth.NewRegistry(here, store, func(context.Context) error { return l.catchUp() })
	})...)
	l.state.FollowPrivate(&followers{l, elsewhere, here})
	if made, err := l.registry.Bootstrap(t.Context(), l.secret, time.Hour); err != nil || !made {
		t.Fatalf("bootstrap: %v, %v", made, err)
	}
	who, err := elsewhere.Authenticate([]byte(l.secret))
	if err != nil {
		t.Fatal(err)
	}
	l.admin = auth.NewDoor(store, l.hub, elsewhere).As(who)
	return l
}

// lag has the server apply nothing from now on, until a request waits for that.
func (l *lagging) lag() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds = true
}

// catchUp has the server apply what it has held back, and fails as it is to.
func (l *lagging) catchUp() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked++; l.fails != nil {
		return l.fails
	}
	l.holds = false
	for _, do := range l.held {
		do()
	}
	l.held = nil
	return nil
}

// begin is a table's Barrier.
func (l *lagging) begin(w kv.Waker) *kv.Barrier {
	b := kv.NewBarrier(w)
	go func() { b.Finish(l.catchUp()) }()
	return b
}

// followers tell both servers of private records.
type followers struct {
	*lagging
	elsewhere, here *auth.Table
}

func (f *followers) PrivateReset(all iter.Seq[kv.PrivateRecord], auth kv.Rev, epoch kv.Epoch) {
	f.elsewhere.PrivateReset(all, auth, epoch)
	f.here.PrivateReset(all, auth, epoch)
}

func (f *followers) PrivateChanged(changed []kv.PrivateRecord, auth kv.Rev) {
	f.elsewhere.PrivateChanged(changed, auth)
	kept := slices.Clone(changed)
	for i := range kept {
		kept[i].Value = bytes.Clone(kept[i].Value)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holds {
		f.held = append(f.held, func() { f.here.PrivateChanged(kept, auth) })
		return
	}
	f.here.PrivateChanged(kept, auth)
}

// ways are the ways to use a credential: each returns whether it was accepted, and the answer.
var ways = map[string]func(l *lagging, secret string) (bool, string){
	"GET on a loop":      request("GET", "/v1/kv/a/1", "", 404),
	"PUT on a loop":      request("PUT", "/v1/kv/a/1", "x", 201),
	"batch on a loop":    request("POST", "/v1/batch", `{"ops":[{"op":"put","key":"a/1","value":"x"}]}`, 200),
	"PUT of much":        request("PUT", "/v1/kv/a/1", strings.Repeat("x", 100<<10), 201),
	"list":               request("GET", "/v1/kv?prefix=a/", "", 200),
	"whoami":             request("GET", "/v1/auth/whoami", "", 200),
	"event stream":       request("GET", "/v1/watch?prefix=a/", "", 200),
	"WebSocket":          request("GET", "/v1/ws?prefix=a/", "", 101),
	"auth on WebSocket":  socketAuth,
	"AUTH":               redisAuth("AUTH ann %s"),
	"HELLO":              redisAuth("HELLO 3 AUTH ann %s"),
	"AUTH of a password": func(l *lagging, _ string) (bool, string) { return redisAuth("AUTH ann %s")(l, annsPassword) },
	"login": func(l *lagging, _ string) (bool, string) {
		return request("POST", "/v1/auth/login", fmt.Sprintf(`{"user":"ann","password":%q}`, annsPassword), 200)(l, "")
	},
}

const annsPassword = "a-password-of-ann"

// request returns how a request is answered.
func request(method, path, body string, want int) func(*lagging, string) (bool, string) {
	return func(l *lagging, secret string) (bool, string) {
		var headers []string
		if secret != "" {
			headers = as(secret)
		}
		if want == 101 {
			headers = append(headers, handshakeOf("/v1/ws")...)
		}
		if want == 101 || strings.Contains(path, "watch") {
			status := l.statusOf(method, path, body, headers...)
			return status == want, fmt.Sprint(status)
		}
		a := l.do(method, path, body, headers...)
		return a.status == want, fmt.Sprint(a.status, " ", a.body)
	}
}

func socketAuth(l *lagging, secret string) (bool, string) {
	c, _, err := wstest.DialBy(l.t, l.client, l.wsBase()+"/v1/ws", ws.Subprotocol)
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Conn.CloseNow()
	a := fmt.Sprint(c.Ask(`{"id":1,"op":"auth","token":%q}`, secret))
	return strings.Contains(a, "user:ann"), a
}

func redisAuth(line string) func(*lagging, string) (bool, string) {
	return func(l *lagging, secret string) (bool, string) {
		a := l.redis()(fmt.Sprintf(line, secret))
		return !strings.HasPrefix(a, "-"), a
	}
}

// If this failed, who has logged in at one server would see the login form again at the next one, which has not
// applied that yet. A server that cannot catch up must not say that a credential is unknown: its client would throw
// it away.
func TestCredentialMadeElsewhereIsKnown(t *testing.T) {
	for name, use := range ways {
		t.Run(name, func(t *testing.T) {
			l := newLagging(t)
			l.lag()
			l.fails = kv.ErrNoLeader
			secret := l.user("ann", "read,watch,write:a/")
			password := annsPassword
			if _, err := l.registry.SetUser(t.Context(), l.admin.By(), "ann", auth.UserSpec{Password: &password}, auth.Condition{}); err != nil {
				t.Fatal(err)
			}
			if ok, a := use(l, secret); ok || !strings.Contains(a, "no_leader") && !strings.Contains(a, "503") {
				t.Errorf("a server without a leader: got %s, want no_leader", a)
			}
			l.fails = nil
			if ok, a := use(l, secret); !ok {
				t.Errorf("got %s", a)
			}
			if l.asked != 2 && name != "login" { // which asks once more at its end
				t.Errorf("it has asked %d times, want 2", l.asked)
			}
		})
	}
}

// A credential that no server knows must be refused as ever, and one that is malformed without a question to others.
func TestUnknownCredentialIsRefused(t *testing.T) {
	for name, use := range ways {
		if strings.Contains(name, "login") || strings.Contains(name, "password") {
			continue
		}
		l := newLagging(t)
		for i, secret := range []string{"kwk_malformed", auth.NewSecret(auth.Session)} {
			if ok, a := use(l, secret); ok || strings.Contains(a, "503") {
				t.Errorf("%s: got %s", name, a)
			}
			// What is no token may be a password, of which it is asked whether it is new.
			if l.asked != i && !strings.HasPrefix(name, "AUTH") && !strings.HasPrefix(name, "HELLO") {
				t.Errorf("%s: it has asked %d times, want %d", name, l.asked, i)
			}
		}
	}
}

// A ticket must be known that a key of today has signed which this server lacks, or that was made with a credential
// which it lacks.
func TestTicketMadeElsewhereIsKnown(t *testing.T) {
	for _, rotate := range []bool{true, false} {
		l := newLagging(t)
		l.lag()
		if rotate {
			if _, err := l.registry.Rotate(t.Context(), l.admin.By(), auth.RotateTickets); err != nil {
				t.Fatal(err)
			}
		}
		ann := l.user("ann", "read,watch:a/")
		who, err := l.registry.Table().Authenticate([]byte(ann))
		if err != nil {
			t.Fatal(err)
		}
		door := auth.NewDoor(nil, nil, l.registry.Table())
		ticket, err := l.registry.Ticket(door.As(who).By(), auth.TicketInfo{Prefixes: []string{"a/"}, Expires: time.Now().Add(time.Minute).UnixMilli()})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{200, 401} { // it is for one use
			if got := l.statusOf("GET", "/v1/watch?prefix=a/&ticket="+ticket, ""); got != want {
				t.Errorf("signed by a new key %v: got %d, want %d", rotate, got, want)
			}
		}
		if l.asked != 1 {
			t.Errorf("it has asked %d times, want 1", l.asked)
		}
	}
}

// A certificate must be known whose user has got its name at another server.
func TestCertificateOfNewUserIsKnown(t *testing.T) {
	clients := certstest.NewClients(t)
	l := newLagging(t, func(o *web.Options) { o.TLS = clients.Server() })
	p := &provable{l.secured, clients}
	for _, way := range []string{"WebSocket", "RESP"} {
		l.lag()
		name := strings.ToLower(way)
		p.user(name, "read,watch:a/")
		p.names(name, "cn:"+name)
		switch way {
		case "WebSocket":
			if _, resp, err := p.dialAs(name, "?key=a/1", ws.Subprotocol); err != nil {
				t.Errorf("got %v, %v", resp, err)
			}
		case "RESP":
			if a := l.redisBy(clients.Showing(p.tls, name))("HELLO 3"); strings.HasPrefix(a, "-") {
				t.Errorf("got %s", a)
			}
		}
		if l.asked == 0 {
			t.Error("it has not asked")
		}
		l.asked = 0
	}
}

// If this failed, an administrator who has made a user at one server would be told by the next one that there is none.
func TestUserMadeElsewhereIsShown(t *testing.T) {
	l := newLagging(t)
	l.log.barrier = func(context.Context) error { return l.catchUp() }
	for name, request := range map[string][4]string{
		"its keys":   {"POST", "/v1/auth/keys", `{"user":%q,"ttl":"1h"}`, "201"},
		"itself":     {"GET", "/v1/auth/users/%s", "", "200"},
		"its role":   {"GET", "/v1/auth/roles/%s", "", "200"},
		"a new role": {"PUT", "/v1/auth/users/%s", `{"roles":[]}`, "200"},
		"its end":    {"DELETE", "/v1/auth/users/%s", "", "204"},
	} {
		l.lag()
		user := strings.ReplaceAll(name, " ", "-")
		l.user(user, "read:a/")
		path, body := strings.ReplaceAll(request[1], "%s", user), strings.ReplaceAll(request[2], "%q", `"`+user+`"`)
		if got := l.do(request[0], path, body, as(l.secret)...); fmt.Sprint(got.status) != request[3] {
			t.Errorf("%s: got %d %s, want %s", name, got.status, got.body, request[3])
		}
	}
}
