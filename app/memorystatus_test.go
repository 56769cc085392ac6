package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"keywatch/app"
)

// If this failed, who reads /v1/status would guess in what its figures of memory count, or a
// name that dashboards use would be gone.
func TestMemoryStatusTellsItsUnit(t *testing.T) {
	e := openEngine(t, app.Config{MemoryOnly: true})
	if _, err := e.Put(t.Context(), "k", []byte("value")); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(e.Status().Memory)
	if err != nil {
		t.Fatal(err)
	}
	var figures map[string]int64
	if err := json.Unmarshal(b, &figures); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"limit", "used", "values", "keys", "history", "kept_for_snapshots", "idempotency", "leases", "evictable"} {
		if _, there := figures[name]; !there {
			t.Errorf("%s is gone: %s", name, b)
		}
	}
	for name, n := range figures {
		if name == "waited" || name == "refused" || strings.HasSuffix(name, "_bytes") {
			continue
		}
		if got, there := figures[name+"_bytes"]; !there || got != n {
			t.Errorf("%s is %d, and %s_bytes is %d", name, n, name, got)
		}
	}
	if figures["used_bytes"] == 0 || figures["limit_bytes"] == 0 {
		t.Errorf("got %s, want what is used and its limit", b)
	}
}
