package web_test

import (
	"context"
	"encoding/base64"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/test/gate"
)

// callers returns the values of Authorization of callers who may do different things, by name; an
// empty one is none. What is made is made in the same order, so that two servers have the same
// revisions.
func (s *secured) callers() map[string]string {
	s.t.Helper()
	all := map[string]string{
		"admin": s.secret, "unknown": auth.NewSecret(auth.Key), "malformed": "kwk_" + strings.Repeat("0", 49),
		"reads": s.user("reads", "read:a"), "writes": s.user("writes", "write:a", "write:b"),
		"both": s.user("both", "read,write:*"), "nothing": s.user("nothing"), "revoked": s.user("revoked", "read,write:*"),
		"disabled": s.user("disabled", "read,write:*"),
	}
	ctx, off := context.Background(), true
	if err := s.registry.DeleteUser(ctx, s.admin.By(), "revoked", auth.Condition{}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.registry.SetUser(ctx, s.admin.By(), "disabled", auth.UserSpec{Disabled: &off}, auth.Condition{}); err != nil {
		s.t.Fatal(err)
	}
	for name, secret := range all {
		all[name] = "Bearer " + secret
	}
	all["basic"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(":"+s.secret))
	all["digest"], all["none"] = "Digest x", ""
	return all
}

// by returns a request with a value of Authorization.
func by(value, request string) string {
	if value == "" {
		return request
	}
	line, rest, _ := strings.Cut(request, "\r\n")
	return line + "\r\nAuthorization: " + value + "\r\n" + rest
}

// If this failed, a caller would see who answers: an event loop would let in who may not, refuse who
// may, or say it in another way.
func TestSecuredAnswersAreTheSame(t *testing.T) {
	long, short, looped := newSecured(t, goroutines), newSecured(t, goroutines), newSecured(t)
	slow, fast, onLoop := long.callers(), short.callers(), looped.callers()
	warm, loop := short.wire(t), looped.wire(t)
	warm.warm()
	sent := int64(0)
	for _, name := range []string{"admin", "basic", "reads", "writes", "both", "nothing", "unknown", "malformed", "revoked", "disabled", "digest", "none"} {
		for _, request := range fastSession {
			if strings.Contains(request, "Authorization") {
				continue
			}
			method, _, _ := strings.Cut(request, " ")
			first := long.wire(t)
			first.send(by(slow[name], request))
			warm.send(by(fast[name], request))
			loop.send(by(onLoop[name], request))
			want := first.answer(method)
			first.conn.Close()
			if got := warm.answer(method); got != want {
				t.Errorf("%s, %q:\ngot  %s\nwant %s", name, request, got, want)
			}
			if got := loop.answer(method); got != want {
				t.Errorf("%s, %q on an event loop:\ngot  %s\nwant %s", name, request, got, want)
			}
			if sent++; looped.server.FastAnswered() != sent {
				t.Fatalf("%s, %q: event loops answered %d of %d requests", name, request, looped.server.FastAnswered(), sent)
			}
		}
	}
	if n := long.server.FastAnswered(); n != 0 {
		t.Errorf("%d first requests took the fast path: nothing was compared", n)
	}
}

// A securedPipeline is requests of different callers on one connection. The first eleven of them are
// for event loops.
var securedPipeline = []struct{ who, request string }{
	{"admin", pipeline[0]}, {"none", pipeline[2]}, {"both", pipeline[1]}, {"reads", pipeline[2]}, {"reads", pipeline[1]},
	{"digest", pipeline[2]}, {"admin", pipeline[3]}, {"unknown", pipeline[0]}, {"writes", pipeline[4]}, {"writes", pipeline[2]},
	{"revoked", pipeline[4]}, {"reads", pipeline[5]}, {"nothing", pipeline[6]}, {"admin", pipeline[6]}, {"both", pipeline[7]},
}

// pipelineOf returns the requests as one text, and how long each of them is.
func (s *secured) pipelineOf() (all string) {
	who := s.callers()
	for _, each := range securedPipeline {
		all += by(who[each.who], each.request)
	}
	return all
}

func (c *wire) secured(requests string, split int) (answers []string) {
	c.t.Helper()
	c.send(requests[:split])
	c.send(requests[split:])
	for _, each := range securedPipeline {
		method, _, _ := strings.Cut(each.request, " ")
		answers = append(answers, c.answer(method))
	}
	return answers
}

// If this failed, a request would be answered for the caller of another one on the same connection,
// depending on how a client's bytes were cut into packets and on where the connection was handed over.
func TestSecuredPipelinesAreReadAlikeAtEverySplit(t *testing.T) {
	slow := newSecured(t, goroutines)
	want := slow.wire(t).secured(slow.pipelineOf(), 0)
	for i, status := range []string{"201", "401", "200", "200", "403", "401", "200", "401", "204", "403", "401", "403", "403", "201", "200"} {
		if !strings.Contains(want[i], "HTTP/1.1 "+status) {
			t.Fatalf("%s, %q: got %s, want %s", securedPipeline[i].who, securedPipeline[i].request, want[i], status)
		}
	}
	step := 97
	if gate.Proving() {
		step = 1
	}
	for split := 0; ; split += step {
		s := newSecured(t)
		requests := s.pipelineOf()
		if split >= len(requests) {
			return
		}
		conn := s.wire(t)
		for i, got := range conn.secured(requests, split) {
			if got != want[i] {
				t.Fatalf("split at %d, %s, %q:\ngot  %s\nwant %s", split, securedPipeline[i].who, securedPipeline[i].request, got, want[i])
			}
		}
		if n := s.server.FastAnswered(); n < 11 {
			t.Fatalf("split at %d: event loops answered %d requests, want the first 11", split, n)
		}
		conn.conn.Close()
	}
}

// holding has writes of s wait, other than those of users and credentials, until the channel that it
// returns is closed. begun counts those that wait.
func (s *secured) holding() (release chan struct{}, begun *atomic.Int32) {
	release, begun = make(chan struct{}), new(atomic.Int32)
	s.log.fail = func(_ context.Context, c *kv.Command) error {
		if c.Private == nil {
			begun.Add(1)
			<-release
		}
		return nil
	}
	return release, begun
}

// narrow changes the role of ann, which narrows what she may do, and touches no one else.
func (s *secured) narrow(grants ...string) {
	s.t.Helper()
	var all []auth.Grant
	for _, text := range grants {
		g, err := auth.ParseGrant(text)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, g)
	}
	before := s.state.AuthRev()
	if _, _, err := s.registry.PutRole(context.Background(), s.admin.By(), "ann", all, auth.Condition{}); err != nil {
		s.t.Fatal(err)
	}
	if s.state.AuthRev() == before {
		s.t.Fatal("the change narrowed nothing")
	}
}

// If this failed, a write that was under way while permissions changed would be done for a caller who
// may not any more, be refused to one whom the change does not concern, or run after one behind it.
func TestLoopDecidesWritesAgain(t *testing.T) {
	s := newSecured(t)
	ann, bob := s.user("ann", "read,write:a"), s.user("bob", "read,write:*")
	release, begun := s.holding()
	denied, again, many := s.wire(t), s.wire(t), s.wire(t)
	denied.send(by("Bearer "+ann, pipeline[0]))
	again.send(by("Bearer "+bob, "PUT /v1/kv/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\none"))
	many.send(by("Bearer "+bob, "PUT /v1/kv/d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\none") +
		by("Bearer "+bob, "PUT /v1/kv/d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\ntwo"))
	s.eventually("all are under way", func() bool { return begun.Load() == 1 && s.server.FastAnswered() == 4 })
	s.narrow("read:a")
	close(release)
	if got := denied.answer("PUT"); !strings.Contains(got, "HTTP/1.1 403 ") {
		t.Errorf("ann, who may not any more: got %s", got)
	}
	if got := again.answer("PUT"); !strings.Contains(got, "HTTP/1.1 201 ") {
		t.Errorf("bob, whom it does not concern: got %s", got)
	}
	if got := many.answer("PUT"); !strings.Contains(got, "HTTP/1.1 503 ") || !strings.Contains(got, "permissions_changed") {
		t.Errorf("before another one: got %s, want 503 permissions_changed", got)
	}
	if got := many.answer("PUT"); !strings.Contains(got, "HTTP/1.1 201 ") {
		t.Errorf("the last one: got %s", got)
	}
	for key, want := range map[string]string{"a": "", "c": "one", "d": "two"} {
		e, _ := s.state.Get(key)
		if got := ""; e != nil && string(e.Value()) != want || e == nil && want != got {
			t.Errorf("%s is %v, want %q", key, e, want)
		}
	}
}

// If this failed, an event loop would wait with all of its connections for a write that is decided
// again, a request behind it would overtake it, or its body would be that of another request.
func TestLoopServesOthersWhileItDecides(t *testing.T) {
	s := newSecured(t)
	s.user("ann", "read,write:a")
	bob := "Bearer " + s.user("bob", "read,write:*")
	first, second := make(chan struct{}), make(chan struct{})
	var asked atomic.Int32
	s.log.fail = func(_ context.Context, c *kv.Command) error {
		if c.Private == nil && asked.Add(1) == 1 {
			<-first
		} else if c.Private == nil {
			<-second
		}
		return nil
	}
	conn, others := s.wire(t), []*wire{s.wire(t), s.wire(t), s.wire(t), s.wire(t)}
	conn.send(by(bob, pipeline[0]))
	s.eventually("the write is under way", func() bool { return asked.Load() == 1 })
	s.narrow("read:a")
	close(first)
	s.eventually("it is decided again", func() bool { return asked.Load() == 2 })
	conn.send(by(bob, pipeline[2]) + by(bob, pipeline[1]))
	for _, other := range others { // which both event loops serve
		other.send(by(bob, "GET /v1/kv/zz HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		if got := other.answer("GET"); !strings.Contains(got, "HTTP/1.1 404 ") {
			t.Errorf("got %s", got)
		}
	}
	close(second)
	for i, want := range []string{"201 Created", "\n\none", "200 OK"} {
		if got := conn.answer([]string{"PUT", "GET", "PUT"}[i]); !strings.Contains(got, want) {
			t.Errorf("answer %d: got %s, want %s", i, got, want)
		}
	}
	if n := s.server.Looped(); n != 5 {
		t.Errorf("event loops serve %d connections, want all 5", n)
	}
}

// If this failed, a credential that is deleted or expires would be good on a connection that has used
// it, and one that is made would not be.
func TestLoopLooksAtEachRequest(t *testing.T) {
	s := newSecured(t)
	conn := s.wire(t)
	status := func(value string) string {
		conn.send(by(value, pipeline[2]))
		_, rest, _ := strings.Cut(conn.answer("GET"), "HTTP/1.1 ")
		return rest[:3]
	}
	ann := "Bearer " + s.user("ann", "read:a")
	if got := status(ann) + status("") + status("Bearer "+s.secret); got != "404401404" {
		t.Errorf("got %s, want 404, 401 and 404", got)
	}
	s.narrow()
	if got := status(ann); got != "403" {
		t.Errorf("with an empty role: got %s, want 403", got)
	}
	s.narrow("read:a")
	if err := s.registry.DeleteUser(t.Context(), s.admin.By(), "ann", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	if got := status(ann); got != "401" {
		t.Errorf("deleted: got %s, want 401", got)
	}
	s.user("eve", "read:a")
	short, _, err := s.registry.AddKey(t.Context(), s.admin.By(), auth.KeySpec{User: "eve", TTL: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	status("Bearer " + short)
	s.eventually("the key has expired", func() bool { return status("Bearer "+short) == "401" })
	s.user("anonymous", "read:a")
	if got := status("") + status(ann); got != "404401" {
		t.Errorf("anonymous may: got %s, want 404 and 401", got)
	}
	if n := s.server.Looped(); n != 1 {
		t.Errorf("event loops serve %d connections, want 1", n)
	}
}

// A request that an event loop passes on must be counted once, wherever it is answered.
func TestPassedOnRequestIsCountedOnce(t *testing.T) {
	s := newSecured(t)
	before := s.server.FastAnswered()
	batch := `{"ops":[{"op":"get","key":"a"}]}`
	s.want(200, "POST", "/v1/batch", batch, as(s.secret)...)
	if s.server.FastAnswered() != before {
		t.Fatal("the event loop answered it: nothing was passed on")
	}
	for _, want := range []string{`keywatch_auth_requests_total{result="key"} 1`, `keywatch_auth_requests_total{result="anonymous"} 0`} {
		if metrics := s.want(200, "GET", "/metrics", "", as(s.secret)...).body; !strings.Contains(metrics, want+"\n") {
			t.Errorf("the metrics have no %s", want)
		}
	}
}

// If this failed, who may do nothing could have the servers of a cluster agree on each of its reads.
func TestReadThatIsRefusedAsksNoServer(t *testing.T) {
	s := newSecured(t)
	ann := "Bearer " + s.user("ann", "read:b")
	agree, asked := s.agreeing()
	conn := s.wire(t)
	for _, value := range []string{"", "Digest x", "Bearer " + auth.NewSecret(auth.Key)} {
		conn.send(by(value, pipeline[2]))
		if got := conn.answer("GET"); !strings.Contains(got, "HTTP/1.1 401 ") {
			t.Errorf("%q: got %s, want 401", value, got)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("other servers were asked %d times", n)
	}
	conn.send(by("Bearer "+s.secret, pipeline[2]))
	agree <- nil
	if got := conn.answer("GET"); !strings.Contains(got, "HTTP/1.1 404 ") {
		t.Errorf("got %s, want 404", got)
	}
	conn.send(by(ann, pipeline[2]))
	agree <- kv.ErrNoLeader
	if got := conn.answer("GET"); !strings.Contains(got, "HTTP/1.1 403 ") {
		t.Errorf("what is denied is denied without a leader too: got %s", got)
	}
}
