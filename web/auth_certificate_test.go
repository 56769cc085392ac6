package web_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"keywatch/app/certs/certstest"
	"keywatch/ratelimit"
	"keywatch/test/gate"
	"keywatch/web"
	"keywatch/web/ws/wstest"
)

// A provable is a server that takes certificates of clients, with the user ann, who has the common name
// of one.
type provable struct {
	*secured
	clients *certstest.Clients
}

func newProvable(t *testing.T, change ...func(*web.Options)) *provable {
	t.Helper()
	p := &provable{clients: certstest.NewClients(t)}
	p.secured = newSecured(t, append(change, func(o *web.Options) { o.TLS = p.clients.Server() })...)
	p.user("ann", "read,watch,write:a/")
	p.names("ann", "cn:ann")
	return p
}

// names has a user have names of certificates.
func (p *provable) names(user string, names ...string) {
	p.t.Helper()
	p.clients.Name(p.registry, p.admin.By(), user, names...)
}

// dialAs opens a WebSocket of who shows a certificate with a name.
func (p *provable) dialAs(name, query, protocol string, headers ...string) (*wstest.Client, *http.Response, error) {
	p.t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: p.clients.Showing(p.tls, name)}}
	p.t.Cleanup(client.CloseIdleConnections)
	return wstest.DialBy(p.t, client, p.wsBase()+"/v1/ws"+query, protocol, headers...)
}

// until returns all that a socket is told until a part of it has come.
func until(c *wstest.Client, part string) (all string) {
	for !strings.Contains(all, part) {
		all += c.Text()
	}
	return all
}

// If this failed, a certificate would not be the credential of a WebSocket, would be good for more than its
// user may, or the socket would outlive it.
func TestCertificateOverWebSocket(t *testing.T) {
	for _, protocol := range []string{"keywatch.v1.json", "keywatch.v1.ndjson"} {
		t.Run(protocol, func(t *testing.T) {
			p := newProvable(t)
			if _, resp, err := p.dial("?key=a/1"); err == nil || resp.StatusCode != 401 {
				t.Errorf("without a certificate: got %v, %v, want 401", resp, err)
			}
			c, resp, err := p.dialAs("ann", "?key=a/1", protocol)
			if err != nil {
				t.Fatalf("dial: %v, %v", err, resp)
			}
			p.want(201, "PUT", "/v1/kv/a/1", "before", as(p.secret)...)
			until(c, `"before"`)
			c.Say(`{"id":2,"op":"put","key":"b","value":"x"}`)
			if got := until(c, `"id":2`); !strings.Contains(got, `"code":"denied"`) { // events come between
				t.Errorf("a key that is not its user's: got %s", got)
			}
			p.names("ann", "cn:another")
			p.want(200, "PUT", "/v1/kv/a/1", "behind", as(p.secret)...)
			if told := until(c, `"denied"`); strings.Contains(told, "behind") {
				t.Errorf("after the name was removed it was told %s", told)
			}
			c.WantClose(3501)
			if _, resp, err := p.dialAs("ann", "", protocol); err == nil || resp.StatusCode != 401 {
				t.Errorf("again: got %v, %v, want 401", resp, err)
			}
		})
	}
}

// If this failed, a certificate that proves nothing would be as good as none, where callers without a
// credential may do something.
func TestUnknownCertificateIsNotAnonymous(t *testing.T) {
	p := newProvable(t)
	p.user("anonymous", "read,watch:a/")
	if _, resp, err := p.dial("?key=a/1"); err != nil {
		t.Errorf("without a certificate: %v, %v", resp, err)
	}
	if _, resp, err := p.dialAs("eve", "?key=a/1", "keywatch.v1.json"); err == nil || resp.StatusCode != 401 {
		t.Errorf("with one that no user has: got %v, %v, want 401", resp, err)
	}
	if c, resp, err := p.dialAs("eve", "", "keywatch.v1.json", as(p.secret)...); err != nil {
		t.Errorf("with a key beside it: %v, %v", resp, err)
	} else if got := c.Ask(`{"id":1,"op":"get","key":"a/1"}`); got["id"] != 1.0 {
		t.Errorf("with a key beside it: got %v", got)
	}
}

// If this failed, clients could have the server keep long chains of certificates that are not counted.
func TestChainsOfClientsAreCharged(t *testing.T) {
	budget := ratelimit.NewBudget(64<<20, 0)
	charged := func() int64 { return budget.Stats().Used[ratelimit.Connections] }
	p := newProvable(t, func(o *web.Options) { o.Budget = budget })
	var more []*certstest.Pair
	for range 5 {
		more = append(more, certstest.Sign(t, nil, "more", time.Now().Add(time.Hour)))
	}
	cost := func(config *tls.Config) int64 {
		t.Helper()
		p.client.CloseIdleConnections()
		p.eventually("nothing is charged", func() bool { return charged() == 0 })
		conn, err := tls.Dial("tcp", p.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		gate.Bound(t, conn)
		c := wstest.Upgrade(t, conn, "", "")
		c.Send(wstest.Masked(wstest.Text, `{"id":1,"op":"ping"}`))
		c.Frame()
		return charged()
	}
	one, six := cost(p.clients.Showing(p.tls, "ann")), cost(p.clients.Showing(p.tls, "ann", more...))
	if six < one+5*4<<10 {
		t.Errorf("a socket is charged %d bytes with one certificate, %d with six", one, six)
	}
	p.eventually("nothing is charged in the end", func() bool { return charged() == 0 })
}
