package web

import (
	"github.com/prometheus/client_golang/prometheus"
)

var (
	descAuthRequests = prometheus.NewDesc("keywatch_auth_requests_total", "Credentials of requests: by their kind if they were accepted, else by why not.", []string{"result"}, nil)
	descAuthDenied   = prometheus.NewDesc("keywatch_auth_denied_total", "What was denied for a lack of permission, by the verb that it requires.", []string{"verb"}, nil)
	descAuthEnded    = prometheus.NewDesc("keywatch_auth_streams_ended_total", "Watches that ended because their caller may do less, by why.", []string{"code"}, nil)
	descCatchUps     = prometheus.NewDesc("keywatch_auth_catchups_total", "Credentials that this server did not know, and that it looked at again once it had applied what was acknowledged elsewhere: by how that ended; full is for too many at once.", []string{"result"}, nil)
	descCatchingUp   = prometheus.NewDesc("keywatch_auth_catching_up", "Requests that wait until this server has applied what was acknowledged elsewhere, because it does not know their credential.", nil, nil)
	descLogins       = prometheus.NewDesc("keywatch_auth_logins_total", "Logins, by how they ended; refused is for too many.", []string{"result"}, nil)
	descLoginQueue   = prometheus.NewDesc("keywatch_auth_login_queue", "Logins that wait until their password is looked at, or are.", nil, nil)
	descUnproved     = prometheus.NewDesc("keywatch_auth_sockets_unauthenticated", "WebSockets and connections of Redis clients whose callers have not proved yet who they are, and may do nothing before.", nil, nil)
	descAccounts     = prometheus.NewDesc("keywatch_auth_records", "Users, roles and credentials, and JWTs that are remembered as verified.", []string{"kind"}, nil)
	descAuthRevision = prometheus.NewDesc("keywatch_auth_revision", "Revision of the last change that narrowed what anyone may do.", nil, nil)
	descAuditWritten = prometheus.NewDesc("keywatch_audit_events_total", "Events written to the audit log.", nil, nil)
	descAuditLeftOut = prometheus.NewDesc("keywatch_audit_left_out_total", "Denials and writes that were counted instead of written to the audit log, because there were too many.", []string{"kind"}, nil)
	descHashProcess  = prometheus.NewDesc("keywatch_auth_hash_process", "1 while passwords are hashed by a process of their own, 0 while the server has to do it.", nil, nil)
	descAuditFailing = prometheus.NewDesc("keywatch_audit_failing", "1 while the audit log cannot be written.", nil, nil)
)

// collectAuth tells of callers, where they have to prove who they are.
func (s *Server) collectAuth(ch chan<- prometheus.Metric) {
	table := s.door.Table()
	if table == nil {
		return
	}
	stats := table.Stats()
	count := func(desc *prometheus.Desc, kind prometheus.ValueType, by map[string]int64) {
		for name, n := range by {
			ch <- prometheus.MustNewConstMetric(desc, kind, float64(n), name)
		}
	}
	count(descAuthRequests, counter, stats.Requests)
	count(descAuthDenied, counter, stats.Denied)
	count(descAuthEnded, counter, stats.Ended)
	count(descCatchUps, counter, stats.CatchUps)
	ch <- prometheus.MustNewConstMetric(descCatchingUp, gauge, float64(stats.Waiting))
	count(descLogins, counter, map[string]int64{
		"accepted": int64(s.logins.good.Load()), "wrong": int64(s.logins.wrong.Load()), "refused": int64(s.logins.refused.Load()),
	})
	count(descAccounts, gauge, map[string]int64{
		"users": int64(stats.Users), "roles": int64(stats.Roles), "credentials": int64(stats.Credentials), "jwts": int64(stats.Tokens),
	})
	if s.opts.Accounts != nil {
		passwords := s.opts.Accounts.Passwords
		ch <- prometheus.MustNewConstMetric(descLoginQueue, gauge, float64(passwords.Waiting()))
		ch <- prometheus.MustNewConstMetric(descHashProcess, gauge, number(passwords.Apart()))
	}
	ch <- prometheus.MustNewConstMetric(descUnproved, gauge, float64(s.unproved.Len()))
	ch <- prometheus.MustNewConstMetric(descAuthRevision, gauge, float64(stats.Revision))
	ch <- prometheus.MustNewConstMetric(descAuditWritten, counter, float64(s.opts.Audit.Written()))
	ch <- prometheus.MustNewConstMetric(descAuditFailing, gauge, number(s.opts.Audit.Err() != nil))
	denials, writes := s.opts.Audit.LeftOut()
	count(descAuditLeftOut, counter, map[string]int64{"denials": int64(denials), "writes": int64(writes)})
}

// number returns 1 for true.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
