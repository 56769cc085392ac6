package web_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"keywatch/auth"
	"keywatch/web"
)

// If this failed, a write or read on an event loop would be answered after the revocation that should
// have stopped it, or a caller whom it does not concern would be refused.
func TestNothingIsAnsweredAfterRevocationOnLoops(t *testing.T) {
	for name, where := range map[string]func(*web.Options){"loops": func(*web.Options) {}, "goroutines": goroutines} {
		t.Run(name, func(t *testing.T) { revokeUnderLoad(newSecured(t, where), t) })
	}
}

// A pusher is a connection that writes and reads one key, one request at a time.
type pusher struct {
	wire          *wire
	value, key    string
	answered      atomic.Int32
	newest        atomic.Uint64 // revision that it was told
	refused, over atomic.Bool
}

func (p *pusher) run() {
	for !p.over.Load() {
		for _, method := range []string{"PUT", "GET"} {
			body := ""
			if method == "PUT" {
				body = "x"
			}
			line := fmt.Sprintf("%s /v1/kv/%s HTTP/1.1\r\nHost: localhost\r\n", method, p.key)
			if body != "" {
				line += "Content-Length: 1\r\n"
			}
			p.wire.send(by(p.value, line+"\r\n"+body))
			got := p.wire.answer(method)
			p.answered.Add(1)
			if !strings.Contains(got, "HTTP/1.1 20") {
				p.refused.Store(true)
				if p.value != "" && !strings.Contains(got, "HTTP/1.1 403 ") && !strings.Contains(got, "HTTP/1.1 401 ") {
					p.wire.t.Errorf("got %s", got)
				}
				return
			}
			_, tag, _ := strings.Cut(got, "Etag: \"")
			var epoch, rev uint64
			if _, err := fmt.Sscanf(tag, "%x-%d", &epoch, &rev); err != nil {
				p.wire.t.Errorf("%v: %s", err, got)
			}
			p.newest.Store(rev)
		}
	}
}

func revokeUnderLoad(s *secured, t *testing.T) {
	ann, bob := s.user("ann", "read,write:a/"), s.user("bob", "read,write:b/")
	var pushers []*pusher
	var wait sync.WaitGroup
	for i := range 12 {
		p := &pusher{wire: s.wire(t), value: "Bearer " + ann, key: fmt.Sprint("a/", i)}
		if i%3 == 0 {
			p.value, p.key = "Bearer "+bob, fmt.Sprint("b/", i)
		}
		pushers = append(pushers, p)
		wait.Go(p.run)
	}
	all := func(holds func(i int, p *pusher) bool) func() bool {
		return func() bool {
			for i, p := range pushers {
				if !holds(i, p) {
					return false
				}
			}
			return true
		}
	}
	s.eventually("all are answered", all(func(_ int, p *pusher) bool { return p.answered.Load() > 10 }))
	if err := s.registry.DeleteUser(t.Context(), s.admin.By(), "ann", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	revoked := uint64(s.state.AuthRev())
	s.eventually("ann is refused, and bob goes on", all(func(i int, p *pusher) bool {
		return p.refused.Load() || i%3 == 0 && p.newest.Load() > revoked+20
	}))
	for _, p := range pushers {
		p.over.Store(true)
	}
	wait.Wait()
	for i, p := range pushers {
		if ann := i%3 != 0; ann != p.refused.Load() || ann && p.newest.Load() > revoked {
			t.Errorf("connection %d, ann's is %v: refused %v, told of %d, revoked at %d", i, ann, p.refused.Load(), p.newest.Load(), revoked)
		}
	}
}
