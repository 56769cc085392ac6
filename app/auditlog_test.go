package app_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/app"
	"keywatch/test/gate"
)

// If this failed, who asks for an audit log of a store without users would believe that there is one.
func TestMissingAuditLogIsToldOf(t *testing.T) {
	for set, want := range map[string]bool{"writes": true, "file": true, "": false} {
		c := app.ServeConfig{AuditWrites: set == "writes"}
		if c.Data = t.TempDir(); set == "file" {
			c.AuditLog = c.Data + "/audit"
		}
		s := serveAuth(t, c)
		if got := strings.Contains(s.log.String(), "no audit log is written"); got != want {
			t.Errorf("with %q set: told is %v, want %v", set, got, want)
		}
	}
}

// The audit logs of several servers are read as one: each line must say which server wrote it, and a server that is
// alone has no id.
func TestAuditLogNamesTheServer(t *testing.T) {
	for _, member := range []bool{true, false} {
		c := app.ServeConfig{}
		c.Data, c.Auth = t.TempDir(), "on"
		if member {
			c.Peers.Name, c.Peers.PeerListen, c.Peers.PeerInsecure = "n1", gate.Address(t), true
		}
		s := serveAuth(t, c)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(c.Data, "audit.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		var e struct{ Operation, Node string }
		first, _, _ := strings.Cut(string(b), "\n")
		if err := json.Unmarshal([]byte(first), &e); err != nil {
			t.Fatalf("%q: %v", first, err)
		}
		if got := len(e.Node) == 16; got != member || e.Operation == "" {
			t.Errorf("member %v: got %s", member, first)
		}
	}
}
