package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/web/api"
)

// pathAuth is what the paths of users, roles and credentials begin with.
const pathAuth = "/v1/auth/"

// accountRoutes are the routes below pathAuth by the first part of the path: that of all, and that
// of one, which a name follows.
var accountRoutes = map[string]struct{ all, one route }{
	"login": {all: routeLogin}, "renew": {all: routeRenew}, "logout": {all: routeLogout}, "whoami": {all: routeWhoami},
	"password": {all: routePassword}, "tickets": {all: routeTickets}, "rotate": {all: routeRotate},
	"users": {routeUsers, routeUser}, "roles": {routeRoles, routeRole},
	"keys": {routeAPIKeys, routeAPIKey}, "sessions": {routeSessions, routeSession},
}

// matchAccount returns the route of a path about users, roles and credentials, and the name in it.
func matchAccount(path []byte) (route, []byte) {
	rest, ok := bytes.CutPrefix(path, lend(pathAuth))
	if !ok {
		return routeNone, nil
	}
	kind, name, named := bytes.Cut(rest, []byte{'/'})
	routes := accountRoutes[string(kind)]
	switch {
	case !named:
		return routes.all, nil
	case len(name) == 0 || bytes.IndexByte(name, '/') >= 0:
		return routeNone, nil
	}
	return routes.one, name
}

// accounts runs the routes of users, roles and credentials.
func (r *request) accounts() error {
	if err := r.unconditional(fieldIfNoneMatch, fieldIfFence, fieldIdemKey); err != nil {
		return err
	}
	switch r.route {
	case routeUser, routeRole:
	default:
		if err := r.unconditional(fieldIfMatch); err != nil {
			return err
		}
	}
	if err := r.auditable(); err != nil {
		return err
	}
	if r.route.showsAccounts() {
		if err := r.s.door.Barrier(r.deadline()); err != nil {
			return err
		}
	}
	switch r.route {
	case routeLogin:
		return r.login()
	case routeRenew:
		return r.renew()
	case routeLogout:
		return r.logout()
	case routeWhoami:
		return r.whoami()
	case routePassword:
		return r.password()
	case routeTickets:
		return r.ticket()
	case routeUsers, routeUser:
		return r.users()
	case routeRoles, routeRole:
		return r.roles()
	case routeRotate:
		return r.rotate()
	}
	return r.credentials()
}

// showsAccounts reports whether the route shows, or rests on, what may have been made at another server a moment ago.
// A login sees to that where it looks; others are about the caller's own credential.
func (r route) showsAccounts() bool {
	switch r {
	case routePassword, routeUsers, routeUser, routeRoles, routeRole, routeAPIKeys, routeAPIKey, routeSessions, routeSession:
		return true
	}
	return false
}

// by says on whose behalf the request changes anything.
func (r *request) by() auth.By { return r.view().By() }

// accountBodyMax bounds the bodies of these routes, in bytes.
const accountBodyMax = 64 << 10

// readJSON reads the body into v. An error never quotes a value of it: that may be a secret.
func (r *request) readJSON(v any, example string) error {
	if err := r.encoding(); err != nil {
		return err
	}
	body := r.body()
	if len(body) > accountBodyMax {
		return &api.Failure{Code: api.CodeBodyTooLarge, Detail: "the body is larger than 64 KiB, which is fixed on this route", Limit: accountBodyMax}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("something follows the object")
		}
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, auth.ErrBadGrant) {
		return err
	}
	return api.Refuse(api.CodeBadJSON, "%s: expected an object such as %s", jsonProblem(err), example)
}

// jsonProblem says what is wrong with a JSON document, without a value of it.
func jsonProblem(err error) string {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
		return fmt.Sprintf("field %q is of another type", t.Field)
	}
	if text := err.Error(); strings.HasPrefix(text, "json: unknown field ") {
		return "unknown field " + strings.TrimPrefix(text, "json: unknown field ")
	}
	return "malformed JSON"
}

// answerJSON answers with v.
func (r *request) answerJSON(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	r.out = append(r.out[:0], body...)
	r.json(status)
	return nil
}

// expectation reads If-Match, which names a version of a user or role.
func (r *request) expectation() (want auth.Condition, err error) {
	if !r.head.has(fieldIfMatch) {
		return want, nil
	}
	text := borrow(r.head.get(fieldIfMatch))
	tag, ok := api.ParseETag(text)
	if !ok {
		return want, api.Refuse(api.CodeBadCondition, `If-Match: expected one ETag as the server sent it, such as "7f3a9c21-2" with its quotes`)
	}
	if tag.Epoch != r.s.door.Position().Epoch {
		return want, auth.ErrChanged
	}
	return auth.Condition{Rev: tag.Rev}, nil
}

// tag says which version of a user or role the answer shows.
func (r *request) tag(rev kv.Rev) { r.etag(r.s.door.Position().Epoch, rev) }

// A page is what a list of users, roles or credentials asks for.
type page struct {
	after string
	limit int
}

// accountsPerPage is how many users or credentials one answer has by default, accountsPerPageMax at most.
const (
	accountsPerPage    = 100
	accountsPerPageMax = 1000
)

// pageParams reads which part of a list is asked for.
func (r *request) pageParams() (p page, err error) {
	p.limit = accountsPerPage
	text, ok, err := r.params.take("limit")
	if err == nil && ok {
		p.limit, err = integer("limit", text, accountsPerPageMax)
	}
	if err == nil {
		p.after, _, err = r.params.take("after")
	}
	return p, err
}

// lifetime reads how long a credential is to live: a duration, or none for ever if that is allowed.
func lifetime(text string, forever bool) (time.Duration, error) {
	if text == "none" && forever {
		return 0, nil
	}
	ttl, ok := api.ParseDuration(text)
	if !ok || ttl <= 0 {
		return 0, api.Refuse(api.CodeBadDuration, "ttl: expected a duration such as 720h%s", map[bool]string{true: ", or none", false: ""}[forever])
	}
	return ttl, nil
}
