package web

import (
	"fmt"

	"keywatch/auth"
	"keywatch/auth/audit"
	"keywatch/web/api"
)

// audited reports whether a request of this kind is an event of its own, whatever it is answered:
// it changes users or credentials, or does an operator's work.
func (r *request) audited() bool {
	switch r.route {
	case routeCheckpoint, routeCompact, routeMigrate, routeBackup, routePromote, routeRemove, routeTransfer:
		return true
	case routeLock:
		return r.forced
	}
	return r.route.account() && r.route != routeWhoami && r.method&(methodPut|methodPost|methodDelete) != 0
}

// auditable fails if users or credentials are to be changed, and it cannot be written down.
func (r *request) auditable() error {
	err := r.s.opts.Audit.Err()
	if err == nil || !r.audited() || !r.route.account() {
		return nil
	}
	return &api.Failure{Code: api.CodeDiskFull, Detail: "users and credentials are not changed while the audit log cannot be written", Cause: err}
}

// audit writes down what the request was answered, if that is worth it.
func (r *request) audit() {
	log := r.s.opts.Audit
	status := r.f.Response.StatusCode()
	event := log != nil && r.audited()
	if log == nil || !event && status != 401 && status != 403 {
		return
	}
	e := audit.Event{
		Address: string(r.callerName()), Operation: fmt.Sprintf("%s %s", r.f.Method(), routeNames[r.route]),
		Target: string([]byte(r.target())), Status: status, Code: string(r.failed), Need: r.need,
	}
	identify(&e, r.who)
	if r.actor != "" {
		e.Name = r.actor
	}
	if event && (r.route != routeLogin || status != 429) {
		log.Record(e)
		return
	}
	log.Denied(e)
}

// auditDenied writes down that a command over another protocol was denied.
func (s *Server) auditDenied(d api.Denial) {
	if s.opts.Audit == nil {
		return
	}
	e := audit.Event{
		Address: d.Address, Operation: d.Operation, Target: d.Target,
		Status: d.Failure.Code.Status(), Code: string(d.Failure.Code), Need: d.Failure.Need,
	}
	identify(&e, d.Who)
	s.opts.Audit.Denied(e)
}

// auditLogin writes down how the login of a client of Redis ended. Those beyond the limit are
// counted like denials.
func (s *Server) auditLogin(address, user string, who *auth.Caller, err error) {
	e := audit.Event{Address: address, Operation: "RESP AUTH", Status: 200}
	identify(&e, who)
	e.Name = user[:min(len(user), auth.MaxName)]
	if err != nil {
		code := api.FailureOf(err).Code
		e.Status, e.Code = code.Status(), string(code)
	}
	if e.Status == 429 {
		s.opts.Audit.Denied(e)
		return
	}
	s.opts.Audit.Record(e)
}

// identify notes who did it.
func identify(e *audit.Event, who *auth.Caller) {
	if who == nil {
		return
	}
	e.User, e.Name = who.User(), who.Look().Name
	if id := who.ID(); id != (auth.CredID{}) {
		e.Credential = id.String()
	}
}

// target returns what the request names: a key, a user, a role, a credential or a lock.
func (r *request) target() string {
	if r.route.account() && r.key == "" {
		return r.subject
	}
	return r.key
}
