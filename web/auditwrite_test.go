package web_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"keywatch/auth/audit"
	"keywatch/web"
)

// Every write that changed something must be written down once, with who gave it and what it changed,
// whatever the protocol, and never a value.
func TestWritesAreAudited(t *testing.T) {
	var out bytes.Buffer
	log := audit.New(&out)
	s := newSecured(t, func(o *web.Options) { o.Audit, o.AuditWrites = log, true })
	ann, say := s.user("ann", "read,write:*", "lock:*", "lease"), s.redis()
	as := append(as(ann), "Idempotency-Key", "1")
	s.want(201, "PUT", "/v1/kv/a", "secret-value", as...)
	s.want(201, "PUT", "/v1/kv/a", "secret-value", as...) // a repetition
	as = as[:len(as)-2]
	s.want(412, "PUT", "/v1/kv/a", "secret-value", append(as, "If-None-Match", "*")...)
	s.want(404, "DELETE", "/v1/kv/b", "", as...)
	s.want(200, "POST", "/v1/batch", `{"ops":[{"op":"put","key":"c","value":"secret-value"},{"op":"get","key":"a"},{"op":"delete","key":"a"}]}`, as...)
	s.want(200, "POST", "/v1/batch", `{"checks":[{"key":"a","exists":true}],"ops":[{"op":"put","key":"d","value":"1"}],"else":[{"op":"put","key":"e","value":"secret-value"}]}`, as...)
	s.want(200, "DELETE", "/v1/kv?prefix=c", "", as...)
	lease, _ := s.want(201, "POST", "/v1/leases", `{"ttl":"60s"}`, as...).field("id").(string)
	s.want(200, "POST", "/v1/leases/"+lease+"/keepalive", "", as...)
	s.want(200, "POST", "/v1/locks/l", `{"ttl":"60s"}`, as...)
	if got := s.statusOn(ann, `"op":"put","key":"w","value":"secret-value"`); got != 0 && got != 200 {
		t.Errorf("put over WebSocket: got %d", got)
	}
	for _, command := range []string{"AUTH ann " + ann, "SET r secret-value", "STRLEN r", "DEL r none"} {
		if got := say(command); strings.HasPrefix(got, "-") {
			t.Errorf("%s: got %s", command, got)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	got := auditedWrites(t, out.String())
	want := []string{
		"HTTP put a []", "HTTP batch  [c a]", "HTTP batch e []", "HTTP delete prefix c []", "HTTP grant lease " + lease + " []", "HTTP lock l []",
		"WebSocket put w []", "RESP put r []", "RESP batch  [r none]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if strings.Contains(out.String(), "secret-value") {
		t.Error("the audit log has a value")
	}
}

// auditedWrites returns the writes in an audit log, each of which must say who gave it.
func auditedWrites(t *testing.T, text string) (all []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e audit.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Rev == 0 && !strings.HasSuffix(e.Operation, " lease") {
			continue
		}
		if e.Name != "ann" || !strings.HasPrefix(e.User, "u-") || e.Credential == "" || e.Address != "127.0.0.1" {
			t.Errorf("who it was is not known of %s", line)
		}
		all = append(all, fmt.Sprint(e.Operation, " ", e.Target, " ", e.Targets))
	}
	return all
}
