package web_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"keywatch/auth"
	"keywatch/web/ws"
	"keywatch/web/ws/wstest"
)

// socketMatrix has commands of each operation, and the grants that are just enough; none is that any
// caller may. An operation that is missing here fails the test.
var socketMatrix = []struct {
	command string
	need    []string
}{
	{`"op":"watch","keys":["a/1"],"prefixes":["p/"]`, []string{"read:a/1", "watch:a/1", "read:p/", "watch:p/"}},
	{`"op":"unwatch","watch":77`, nil},
	{`"op":"get","key":"a/1"`, []string{"read:a/1"}},
	{`"op":"get","key":"a/1","consistency":"local"`, []string{"read:a/1"}},
	{`"op":"put","key":"a/1","value":"x"`, []string{"write:a/1"}},
	{`"op":"put","key":"a/1","value":"x","fence":{"l":7}`, []string{"write:a/1", "lock:l"}},
	{`"op":"put","key":"a/1","value":"x","if_absent":true`, []string{"write:a/1"}},
	{`"op":"delete","key":"a/1"`, []string{"write:a/1"}},
	{`"op":"delete","prefix":"p/"`, []string{"write:p/"}},
	{`"op":"cas","key":"a/1","expected":"1","new":"2"`, []string{"write:a/1", "read:a/1"}},
	{`"op":"add","key":"a/n"`, []string{"write:a/n", "read:a/n"}},
	{`"op":"touch","key":"a/1","ttl":"1h"`, []string{"write:a/1"}},
	{`"op":"batch","checks":[{"key":"c","rev":0}],"ops":[{"op":"put","key":"a/1","value":"x"}],"else":[{"op":"get","key":"b"}]`, []string{"read:c", "write:a/1", "read:b"}},
	{`"op":"list","prefix":"p/"`, []string{"read:p/"}},
	{`"op":"ping"`, nil},
	{`"op":"lease","ttl":"10s"`, []string{"lease"}},
	{`"op":"keepalive","lease":"l-0123456789abcdef0123456789abcdef"`, []string{"lease"}},
	{`"op":"keepalive","lock":"l","token":7`, []string{"lock:l"}},
	{`"op":"revoke","lease":"l-0123456789abcdef0123456789abcdef"`, []string{"lease"}},
	{`"op":"bind","lease":"l-0123456789abcdef0123456789abcdef"`, []string{"lease"}},
	{`"op":"unbind","lease":"l-0123456789abcdef0123456789abcdef"`, []string{"lease"}},
	{`"op":"lock","lock":"l","ttl":"10s"`, []string{"lock:l"}},
	{`"op":"unlock","lock":"l","token":7`, []string{"lock:l"}},
	{`"op":"unlock","lock":"l","force":true`, []string{"operate"}},
}

// statusOn returns the status of the answer to a command on a socket of who has a secret; 0 is none.
func (s *secured) statusOn(secret, command string) int {
	s.t.Helper()
	return s.statusOver(ws.Subprotocol, secret, command)
}

// statusOver is statusOn over a subprotocol.
func (s *secured) statusOver(protocol, secret, command string) int {
	s.t.Helper()
	var headers []string
	if secret != "" {
		headers = as(secret)
	}
	c, resp, err := wstest.DialBy(s.t, s.client, s.wsBase()+"/v1/ws", protocol, headers...)
	if err != nil {
		s.t.Fatalf("dial: %v, %v", err, resp)
	}
	defer c.Conn.CloseNow()
	answer := c.Ask(`{"id":9,%s}`, command)
	problem, _ := answer["error"].(map[string]any)
	status, _ := problem["status"].(float64)
	return int(status)
}

// Every operation of a socket must refuse who has proved nothing, and who may do all but one of what it
// requires, and change nothing then; and serve who may do just that.
func TestEverySocketOperationAsksWhoMay(t *testing.T) {
	for _, protocol := range []string{ws.Subprotocol, ws.SubprotocolLines} {
		t.Run(protocol, func(t *testing.T) { askEveryOperation(t, newSecured(t), protocol) })
		t.Run(protocol+" with JWTs", func(t *testing.T) { askEveryOperation(t, newTokened(t), protocol) })
	}
}

func askEveryOperation(t *testing.T, s *secured, protocol string) {
	others := []string{"read,write,watch:zz/", "lock:zz", "metrics,backup,cluster"}
	var seen []string
	for i, c := range socketMatrix {
		op := regexp.MustCompile(`"op":"([a-z]+)"`).FindStringSubmatch(c.command)[1]
		seen = append(seen, op)
		refused := func(what, secret string, want int) {
			t.Helper()
			before := s.state.Position()
			if got := s.statusOver(protocol, secret, c.command); got != want {
				t.Errorf("%s, %s: got %d, want %d", c.command, what, got, want)
			}
			if after := s.state.Position(); after != before {
				t.Errorf("%s, %s: the store went from %v to %v", c.command, what, before, after)
			}
		}
		refused("no credential", "", 401)
		enough := append(slices.Clone(others), c.need...)
		for j := len(others); j < len(enough); j++ {
			refused("without "+enough[j], s.user(fmt.Sprint("b", i, "-", j), slices.Delete(slices.Clone(enough), j, j+1)...), 403)
		}
		if got := s.statusOver(protocol, s.user(fmt.Sprint("e", i), enough...), c.command); got == 401 || got == 403 {
			t.Errorf("%s with %q: got %d, want it to be served", c.command, c.need, got)
		}
	}
	seen = append(seen, "auth", "unknown") // auth is for all
	metrics := s.do("GET", "/metrics", "", as(s.secret)...).body
	all := regexp.MustCompile(`keywatch_socket_commands_total\{op="([a-z]+)"\}`).FindAllStringSubmatch(metrics, -1)
	for _, m := range all {
		if !slices.Contains(seen, m[1]) {
			t.Errorf("the matrix has no case for operation %s", m[1])
		}
	}
	if len(all) < 19 {
		t.Errorf("found %d operations, which are too few", len(all))
	}
}

// A socket must continue with a ticket as far as that goes, and a ticket for one use must be good once.
func TestSocketTakesATicket(t *testing.T) {
	s := newSecured(t)
	ann := s.user("ann", "read,watch,write:a/")
	who, err := s.table.Authenticate([]byte(ann))
	if err != nil {
		t.Fatal(err)
	}
	by := auth.NewDoor(nil, nil, s.table).As(who).By()
	ticket, err := s.registry.Ticket(by, auth.TicketInfo{Keys: []string{"a/1"}, Expires: s.table.Now() + 30_000})
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := s.dial("")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Ask(`{"id":1,"op":"auth","token":%q}`, ticket); got["ok"] != true {
		t.Fatalf("got %v", got)
	}
	c.Refused("denied", 2, `{"id":2,"op":"put","key":"a/1","value":"x"}`)
	c.Refused("denied", 3, `{"id":3,"op":"watch","keys":["a/2"]}`)
	if got := c.Ask(`{"id":4,"op":"watch","keys":["a/1"]}`); got["ok"] != true {
		t.Errorf("got %v", got)
	}
	again, _, err := s.dial("")
	if err != nil {
		t.Fatal(err)
	}
	again.Refused("unauthenticated", 1, `{"id":1,"op":"auth","token":%q}`, ticket)
	if err := s.registry.DeleteUser(context.Background(), s.admin.By(), "ann", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	for {
		if text := c.Text(); strings.Contains(text, `"denied"`) {
			break
		}
	}
	c.WantClose(3501)
}
