package app

import (
	"cmp"
	"os"
	"path/filepath"

	"keywatch/auth/audit"
)

// openAudit opens the audit log of a server whose callers have to prove who they are; nil for none. node is
// the id of the server, empty where it has none.
func (c ServeConfig) openAudit(node string) (log *audit.Log, err error) {
	switch {
	case c.noAudit():
		return nil, nil
	case c.AuditLog == "stderr":
		log = audit.New(os.Stderr)
	default:
		log, err = audit.Open(cmp.Or(c.AuditLog, filepath.Join(c.Data, "audit.jsonl")))
	}
	if log != nil {
		log.Node = node
	}
	return log, err
}

// noAudit reports whether there is no audit log, even with authentication.
func (c ServeConfig) noAudit() bool {
	return c.AuditLog == "off" || c.AuditLog == "" && c.MemoryOnly
}
