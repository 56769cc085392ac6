package api_test

import (
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/lock"
	"keywatch/web/api"
)

// If a request for a lock or a lease was read in another way, its holder would have
// it for longer, or not as long as it believes.
func TestLockAndLeaseDocuments(t *testing.T) {
	var q lock.Request
	if err := api.ParseLock([]byte(`{"ttl":30,"wait":"5m","owner":"me"}`), &q); err != nil || q.TTL != 30*time.Second || q.Wait != 5*time.Minute || q.Owner != "me" {
		t.Errorf("got %+v, %v", q, err)
	}
	for doc, want := range map[string]api.Code{
		`{}`: "bad_json", `{"ttl":"keep"}`: "bad_duration", `{"ttl":"1s","wait":"301s"}`: "bad_duration",
		`{"ttl":"1s","owner":"` + strings.Repeat("x", kv.MaxOwner+1) + `"}`: "bad_value",
	} {
		if got := codeOf(api.ParseLock([]byte(doc), new(lock.Request))); got != want {
			t.Errorf("%.40s: got %q, want %q", doc, got, want)
		}
	}
	if token, err := api.ParseLockKeep([]byte(`{"token":7}`)); token != 7 || err != nil {
		t.Errorf("got %d, %v", token, err)
	}
	if _, err := api.ParseLockKeep([]byte(`{"token":0}`)); codeOf(err) != "bad_json" {
		t.Errorf("got %v", err)
	}
	if ttl, err := api.ParseLease([]byte(`{"ttl":"1h"}`)); ttl != time.Hour || err != nil {
		t.Errorf("got %v, %v", ttl, err)
	}
}
