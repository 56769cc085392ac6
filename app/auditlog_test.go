package app_test

import (
	"strings"
	"testing"

	"keywatch/app"
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
