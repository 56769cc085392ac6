package web_test

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"keywatch/auth"
)

// issue returns the text of a new ticket.
func (s *secured) issue(secret, body string) string {
	s.t.Helper()
	text, _ := s.want(201, "POST", "/v1/auth/tickets", body, as(secret)...).field("ticket").(string)
	return text
}

func TestTicket(t *testing.T) {
	s := newSecured(t)
	ann := s.user("ann", "read,watch:sensors/", "write:sensors/")
	once := s.issue(ann, `{"prefixes":["sensors/"]}`)
	if status := s.statusOf("GET", "/v1/watch?prefix=sensors/&ticket="+once, ""); status != 200 {
		t.Errorf("a ticket: got %d, want 200", status)
	}
	s.want(401, "GET", "/v1/watch?prefix=sensors/&ticket="+once, "")

	again := s.issue(ann, `{"prefixes":["sensors/"],"keys":["sensors/1"],"reuse":true,"ttl":"1h"}`)
	for range 2 {
		for path, accept := range map[string]string{"/v1/watch?prefix=sensors/": "*/*", "/v1/kv/sensors/1?named=1": "text/event-stream"} {
			if status := s.statusOf("GET", path+"&ticket="+again, "", "Accept", accept); status != 200 {
				t.Errorf("%s with a ticket: got %d, want 200", path, status)
			}
		}
		if status := s.statusOf("GET", "/v1/ws?prefix=sensors/&ticket="+again, "", handshakeOf("/v1/ws")...); status != 101 {
			t.Errorf("a socket with a ticket: got %d, want 101", status)
		}
	}
	// It is for its names, and for watches, only.
	s.want(403, "GET", "/v1/watch?prefix=&ticket="+again, "")
	for _, request := range [][3]string{
		{"GET", "/v1/kv/sensors/1?"}, {"PUT", "/v1/kv/sensors/1?", "x"}, {"GET", "/v1/kv?prefix=sensors/&"}, {"GET", "/v1/auth/whoami?"},
		{"POST", "/v1/watch?", `{"prefixes":["sensors/"]}`},
	} {
		if r := s.do(request[0], request[1]+"ticket="+again, request[2]); r.status != 400 && r.status != 401 {
			t.Errorf("%s %s with a ticket: got %d %s", request[0], request[1], r.status, r.body)
		}
	}
	s.want(401, "GET", "/v1/auth/whoami", "", as(again)...)
	s.want(400, "GET", "/v1/watch?prefix=sensors/&ticket="+again, "", as(ann)...)
	s.want(400, "GET", "/v1/watch?prefix=sensors/&ticket="+again+"&ticket="+again, "")
	for _, bad := range []string{"x", "", again[:len(again)-1], again + "A", "%zz"} {
		if r := s.want(401, "GET", "/v1/watch?prefix=sensors/&ticket="+bad, ""); strings.Contains(r.body, again[:20]) {
			t.Errorf("the answer quotes the ticket: %s", r.body)
		}
	}
	// It may do what its credential may now.
	s.user("ann", "read,watch:sensors/1")
	s.want(403, "GET", "/v1/watch?prefix=sensors/&ticket="+again, "")
	if err := s.registry.Revoke(t.Context(), s.admin.By(), auth.Key, auth.HashOf(ann).ID()); err != nil {
		t.Fatal(err)
	}
	s.want(401, "GET", "/v1/kv/sensors/1?ticket="+again, "", "Accept", "text/event-stream")
}

func TestTicketRefused(t *testing.T) {
	s := newSecured(t, inClear)
	ann := s.user("ann", "read,watch:sensors/")
	for body, status := range map[string]int{
		`{}`: 400, `{"keys":[""]}`: 400, `{"prefixes":["sensors/"],"ttl":"31s"}`: 400, `{"prefixes":["sensors/"],"ttl":"none"}`: 400,
		`{"prefixes":["sensors/"],"ttl":"13h","reuse":true}`: 400, `{"prefixes":["sensors/"],"origin":"app.example"}`: 400,
		`{"prefixes":["sensors/"],"origin":"https://app.example/"}`: 400, `{"prefixes":["sensors"]}`: 403, `{"keys":["other"]}`: 403,
	} {
		s.want(status, "POST", "/v1/auth/tickets", body, as(ann)...)
	}
	if r := s.want(403, "POST", "/v1/auth/tickets", `{"keys":["sensors/1","other"]}`, as(ann)...); r.field("index") != 1.0 {
		t.Errorf("got %s, want index 1", r.body)
	}
	bound := s.issue(ann, `{"prefixes":["sensors/"],"reuse":true,"origin":"http://`+s.addr+`"}`)
	if status := s.statusOf("GET", "/v1/watch?prefix=sensors/&ticket="+bound, "", "Origin", s.base); status != 200 {
		t.Errorf("from its origin: got %d", status)
	}
	s.want(401, "GET", "/v1/watch?prefix=sensors/&ticket="+bound, "")
	s.want(401, "GET", "/v1/watch?prefix=sensors/&ticket="+bound, "", "Origin", "https://"+s.addr)
}

// A stream that a ticket opened must end with the credential that the ticket was made with.
func TestTicketEndsWithItsCredential(t *testing.T) {
	s := newSecured(t)
	ann := s.user("ann", "read,watch:sensors/")
	resp, err := s.client.Get(s.base + "/v1/watch?prefix=sensors/&ticket=" + s.issue(ann, `{"prefixes":["sensors/"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	s.want(204, "DELETE", "/v1/auth/keys/"+auth.HashOf(ann).ID().String(), "", as(s.secret)...)
	rest, err := io.ReadAll(in)
	if err != nil || !strings.Contains(string(rest), "revoked") {
		t.Errorf("got %q, %v; want an end that says revoked", rest, err)
	}
}
