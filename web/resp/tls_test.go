package resp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/app/certs/certstest"
	"keywatch/ratelimit"
	"keywatch/test/gate"
	"keywatch/web/reactor"
	"keywatch/web/resp"
)

// connect opens a connection in clear text.
func (w *world) connect() net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	gate.Bound(w.t, conn)
	return conn
}

// If this failed, clients of Redis would get other replies over TLS, or each would cost a goroutine.
func TestCommandsOverTLS(t *testing.T) {
	w := newWorld(t, secure)
	c := w.dial()
	script(t, c, `
		SET a 1 => +OK
		INCR a => 2
		GET b => nil
	`)
	c.send(strings.Repeat(encode("INCR", "n"), 500))
	for range 500 {
		if got := c.reply(); strings.HasPrefix(got, "-") {
			t.Fatalf("got %s", got)
		}
	}
	c.want("GET n", `"500"`)
	before := runtime.NumGoroutine()
	const more = 30
	for range more {
		w.dial().want("GET n", `"500"`)
	}
	gate.Until(t, func() bool { return runtime.NumGoroutine() < before+more }, "never: handshakes are over and idle connections have no goroutine")
}

// If this failed, commands would be run that came in clear text to a port that is to speak TLS, or their
// sender would not learn what is wrong.
func TestClearTextOnATLSPort(t *testing.T) {
	w := newWorld(t, secure)
	for send, want := range map[string]string{
		encode("SET", "a", "1"):            "-ERR this port speaks TLS",
		"SET a 1\r\n":                      "-ERR this port speaks TLS",
		strings.Repeat("SET a 1\r\n", 500): "-ERR this port speaks TLS",
		"\x00\x01\x02\x03\x04\x05":         "",
	} {
		conn := w.connect()
		if _, err := io.WriteString(conn, send); err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(conn) // a reset is an end as well
		if !strings.HasPrefix(string(got), want) || want == "" && len(got) > 0 {
			t.Errorf("%.20q: got %q, want %q", send, got, want)
		}
	}
	if rev := w.store.State().Position().Rev; rev != 0 {
		t.Errorf("something was written in clear text: revision %d", rev)
	}
	gate.Until(t, func() bool { return w.server.Len() == 0 }, "never: their places are given back")
}

// If this failed, clients that begin a handshake and do not end it would keep their connections, or a
// server that stops would wait for them.
func TestHandshakesEnd(t *testing.T) {
	var shaken atomic.Int64
	w := newWorld(t, secure, func(o *resp.Options) {
		o.HandshakeTime = 40 * time.Millisecond
		o.Shaken = func(_ net.Addr, err error) {
			var timeout net.Error
			if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
				shaken.Add(1)
			}
		}
	})
	conn := w.connect()
	if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
		t.Errorf("got %q, %v, want the end", got, err)
	}
	gate.Until(t, func() bool { return w.server.Len() == 0 && shaken.Load() == 1 }, "never: it has ended by time")
	slow := newWorld(t, secure, func(o *resp.Options) { o.HandshakeTime = time.Hour })
	_ = slow.connect()
	gate.Until(t, func() bool { return slow.server.Len() == 1 }, "never: a handshake has begun")
	if err := slow.server.Close(gate.Context(t)); err != nil {
		t.Errorf("close: %v", err)
	}
}

// If this failed, connections over TLS would make the server hold memory that is not counted, or keep it
// when they end.
func TestConnectionsOverTLSAreCharged(t *testing.T) {
	budget := ratelimit.NewBudget(64<<20, 0)
	charged := func() int64 { return budget.Stats().Used[ratelimit.Connections] }
	w := newWorld(t, secure, func(o *resp.Options) { o.Budget = budget })
	c := w.dial()
	c.want("PING", "+PONG")
	gate.Until(t, func() bool { n := charged(); return n >= reactor.TLSCost && n < 2*reactor.TLSCost }, "never: one idle connection is charged")
	_ = w.connect()
	gate.Until(t, func() bool { return charged() >= 64<<10 }, "never: a handshake is charged")
	full := newWorld(t, secure, func(o *resp.Options) { o.Budget = ratelimit.NewBudget(32<<10, 0) })
	conn := full.connect()
	if got, _ := io.ReadAll(conn); len(got) > 0 {
		t.Errorf("without room for a handshake: got %q, want nothing", got)
	}
	if err := w.server.Close(gate.Context(t)); err != nil {
		t.Error(err)
	}
	if n := charged(); n != 0 {
		t.Errorf("%d bytes are charged in the end", n)
	}
}

// A provable is a server that takes certificates of clients.
type provable struct {
	*secured
	clients *certstest.Clients
}

func newProvable(t *testing.T) *provable {
	p := &provable{clients: certstest.NewClients(t)}
	p.secured = newSecured(t, func(o *resp.Options) { o.TLS = p.clients.Server() })
	p.user("ann", "read,write:ann/")
	p.names("ann", "cn:ann")
	return p
}

// names has a user have names of certificates.
func (p *provable) names(user string, names ...string) {
	p.t.Helper()
	p.clients.Name(p.registry, p.admin.By(), user, names...)
}

// showing opens a connection of who shows a certificate with a name.
func (p *provable) showing(name string) *client {
	p.t.Helper()
	return p.clientOf(p.connect(), p.clients.Showing(p.tls, name))
}

// If this failed, a certificate would not be the credential of its user with clients of Redis, or be good
// for more than that, or for longer.
func TestCertificateOverRESP(t *testing.T) {
	p := newProvable(t)
	ann := p.showing("ann")
	script(t, ann, `
		ACL WHOAMI => "ann"
		SET ann/1 1 => +OK
	`)
	if got := ann.say("SET other 1"); !strings.HasPrefix(got, "-NOPERM") {
		t.Errorf("got %s, want -NOPERM", got)
	}
	ben := p.user("ben", "read:ben/")
	ann.want("AUTH "+ben, "+OK") // a better word counts
	ann.want("ACL WHOAMI", `"ben"`)
	ann.want("RESET", "+RESET") // and the certificate again
	ann.want("ACL WHOAMI", `"ann"`)
	p.as("").want("GET ann/1", "-NOAUTH Authentication required.")
	p.names("ann", "cn:another")
	if got, err := ann.read(); err == nil {
		t.Errorf("after the name was removed: got %s, want the end", got)
	}
}

// If this failed, a certificate that proves nothing would be as good as none, where callers without a
// credential may do something.
func TestUnknownCertificateIsNotAnonymous(t *testing.T) {
	p := newProvable(t)
	p.role("anonymous", "read:ann/")
	p.as("").want("GET ann/1", "nil")
	eve := p.showing("eve")
	eve.want("GET ann/1", "-NOAUTH Authentication required.")
	eve.want("RESET", "+RESET")
	eve.want("GET ann/1", "-NOAUTH Authentication required.")
	p.names("ann", "cn:ann", "cn:eve")
	eve.want("ACL WHOAMI", `"ann"`) // once a user has its name
	eve.want("GET ann/1", "nil")
}
