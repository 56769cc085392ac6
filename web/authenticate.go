package web

import (
	"bytes"
	"cmp"
	"encoding/base64"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/web/api"
)

// A need says what a route requires of its caller before its handler runs. The zero need is that
// no one may use it.
type need struct {
	kind needKind
	verb auth.Verb
}

type needKind uint8

const (
	// The zero value lets no caller in.
	_ needKind = iota
	// needNothing lets everyone in; no credential is looked at.
	needNothing
	// needView has the handler ask, through the view of the door.
	needView
	// needCredential lets in who has a good credential.
	needCredential
	// needVerb lets those in who may do verb, which has no target.
	needVerb
)

func verb(v auth.Verb) need { return need{needVerb, v} }

// needs has what each route requires.
var needs = [routes]need{
	routeKey: {kind: needView}, routeKeys: {kind: needView}, routeCAS: {kind: needView}, routeAdd: {kind: needView},
	routeTouch: {kind: needView}, routeBatch: {kind: needView}, routeWatch: {kind: needView}, routeSocket: {kind: needView},
	routeLeases: {kind: needView}, routeLease: {kind: needView}, routeLeaseKeep: {kind: needView},
	routeLock: {kind: needView}, routeLockKeep: {kind: needView},
	routeHealth: {kind: needNothing}, routeReady: {kind: needNothing}, routeOpenAPI: {kind: needNothing}, routePage: {kind: needNothing},
	routeServer: {kind: needNothing},
	routeStatus: verb(auth.Metrics), routeMetrics: verb(auth.Metrics),
	routeCheckpoint: verb(auth.Operate), routeCompact: verb(auth.Operate), routeMigrate: verb(auth.Operate),
	routeLogin: {kind: needNothing}, routeWhoami: {kind: needView},
	routeRenew: {kind: needCredential}, routeLogout: {kind: needCredential}, routePassword: {kind: needCredential}, routeTickets: {kind: needCredential},
	routeAPIKeys: {kind: needCredential}, routeAPIKey: {kind: needCredential}, routeSessions: {kind: needCredential}, routeSession: {kind: needCredential},
	routeUsers: verb(auth.Admin), routeUser: verb(auth.Admin), routeRoles: verb(auth.Admin), routeRole: verb(auth.Admin), routeRotate: verb(auth.Admin),
	routeBackup:  verb(auth.Backup),
	routeCluster: verb(auth.Cluster), routePromote: verb(auth.Cluster), routeRemove: verb(auth.Cluster), routeTransfer: verb(auth.Cluster),
}

// authenticate finds out who the caller is, and whether it may use the route at all. A bad
// credential is refused, even where none is required: it is never taken for none.
func (r *request) authenticate() (err error) {
	table := r.s.door.Table()
	n := needs[r.route]
	if n.kind == needNothing {
		return nil
	}
	if table == nil {
		return r.s.door.Shut()
	}
	r.who, err = r.identity(table)
	if r.proved = auth.ResultOf(r.who, err); err != nil {
		return err
	}
	switch n.kind {
	case needView:
		return nil
	case needCredential:
		if r.who.Kind() == auth.Anonymous {
			return &auth.FailedError{Reason: auth.Missing}
		}
		return nil
	case needVerb:
		_, err := r.view().May(n.verb)
		return err
	}
	return &auth.DeniedError{Need: "nothing that can be granted", Index: -1}
}

// identity returns the caller that the request's credential proves. One that this server does not know may have been
// made elsewhere a moment ago: it is looked at again once what was acknowledged is applied here.
func (r *request) identity(table *auth.Table) (*auth.Caller, error) {
	if !r.prompt {
		return table.Find(r.deadline(), func() (*auth.Caller, error) { return r.prove(table) })
	}
	who, err := r.prove(table)
	if r.after != nil && auth.MayBeNew(err) { // its session has waited: see session.asks
		return nil, cmp.Or(r.after.Err(), err)
	}
	return who, err
}

// prove returns the caller that the request's credential proves: that in Authorization, a ticket in the URL of a
// watch, a session in a cookie, or a certificate. The first of them that is there decides.
func (r *request) prove(table *auth.Table) (*auth.Caller, error) {
	ticket, ticketed, err := "", false, error(nil)
	if len(r.query) > 0 && r.watches() {
		ticket, ticketed, err = r.urlTicket()
	}
	switch {
	case err != nil:
		return nil, err
	case r.head.twice(fieldAuthorization):
		return nil, api.Refuse(api.CodeBadRequest, "header Authorization is repeated")
	case ticketed && r.head.has(fieldAuthorization):
		return nil, api.Refuse(api.CodeBadRequest, "header Authorization and parameter ticket exclude each other")
	case ticketed:
		return table.UseTicket(ticket, string(r.head.get(fieldOrigin)))
	case !r.head.has(fieldAuthorization):
		secret, err := r.session()
		if err != nil {
			return nil, err
		}
		if secret == nil {
			return r.certified(table)
		}
		return byCookie(table, secret)
	}
	secret, ok := credential(r.head.get(fieldAuthorization))
	if !ok {
		return nil, &auth.FailedError{Reason: auth.Malformed}
	}
	who, err := table.Authenticate(secret)
	if err != auth.ErrUnverified {
		return who, err
	}
	if r.prompt { // a signature is not for an event loop
		return nil, kv.ErrWouldWait
	}
	return table.Verify(secret, string(r.callerName()))
}

// credentialMax bounds the value of Authorization that is looked at, in bytes: a JWT in Basic.
const credentialMax = auth.TokenMax*4/3 + 1<<10

// credential returns the secret in the value of Authorization: Bearer, or Basic whose password it
// is.
func credential(value []byte) (secret []byte, ok bool) {
	scheme, rest, ok := bytes.Cut(value, []byte{' '})
	if !ok || len(value) > credentialMax {
		return nil, false
	}
	rest = bytes.Trim(rest, " ")
	switch {
	case bytes.EqualFold(scheme, []byte("Bearer")):
		return rest, len(rest) > 0
	case bytes.EqualFold(scheme, []byte("Basic")):
		pair, err := base64.StdEncoding.AppendDecode(nil, rest)
		if err != nil {
			return nil, false
		}
		_, password, ok := bytes.Cut(pair, []byte{':'})
		return password, ok && len(password) > 0
	}
	return nil, false
}

// accountName returns for whom leases and idempotency keys count: the user or, for callers without a
// credential, the address.
func (r *request) accountName() string {
	if r.who != nil && r.who.User() != "" {
		return r.who.User()
	}
	return string(r.callerName())
}
