package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A server that was away while the others wrote much, and let go of their logs, must get their
// state, serve it, and let those who watched it go on where they were.
func TestServerThatFellBehindInstalls(t *testing.T) {
	s := startThree(t, 5*time.Millisecond)
	for i := range 20 {
		ask(t, "PUT", s.url[i%3]+fmt.Sprintf("/v1/kv/k/%d", i), "before")
	}
	ask(t, "PUT", s.url[0]+"/v1/kv/k/hop", "0")
	seen := watchUntil(t, s.url[2], "", "event: synced")
	if err := s.stop[2](); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 300; i++ {
		ask(t, "PUT", s.url[i%2]+"/v1/kv/k/hop", fmt.Sprint(i))
	}
	for i := range 2 {
		ask(t, "POST", s.url[i]+"/v1/admin/checkpoint", "")
	}
	s.again(2)
	if got, _ := ask(t, "GET", s.url[2]+"/v1/kv/k/hop", ""); got != "300" {
		t.Errorf("after its install: got %q, want 300", got)
	}
	if got, _ := ask(t, "GET", s.url[2]+"/v1/kv/k/7", ""); got != "before" {
		t.Errorf("what it had before: got %q", got)
	}
	metrics, _ := ask(t, "GET", s.url[2]+"/metrics", "")
	if !strings.Contains(metrics, "keywatch_checkpoint_installs_total 1\n") {
		t.Errorf("it did not install")
	}
	seen = watchUntil(t, s.url[2], seen, `"value":"300"`)
	ask(t, "PUT", s.url[2]+"/v1/kv/k/hop", "301")
	watchUntil(t, s.url[0], seen, `"value":"301"`)
}
