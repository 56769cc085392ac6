package app

import (
	"os"
	"path/filepath"

	"keywatch/auth/audit"
)

// openAudit opens the audit log of a server whose callers have to prove who they are; nil for none.
func (c ServeConfig) openAudit() (*audit.Log, error) {
	switch {
	case c.noAudit():
		return nil, nil
	case c.AuditLog == "stderr":
		return audit.New(os.Stderr), nil
	case c.AuditLog == "":
		return audit.Open(filepath.Join(c.Data, "audit.jsonl"))
	}
	return audit.Open(c.AuditLog)
}

// noAudit reports whether there is no audit log, even with authentication.
func (c ServeConfig) noAudit() bool {
	return c.AuditLog == "off" || c.AuditLog == "" && c.MemoryOnly
}
