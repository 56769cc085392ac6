package web

import (
	"errors"

	"keywatch/auth"
	"keywatch/web/api"
)

// A sessionAnswer is what a login answers. A session in a cookie has no token in it.
type sessionAnswer struct {
	Token   string `json:"token,omitempty"`
	Expires int64  `json:"expires_ms"`
	User    string `json:"user"`
}

// login answers POST of a user's name and password.
func (r *request) login() error {
	var in struct {
		User     string `json:"user"`
		Password string `json:"password"`
		Cookie   bool   `json:"cookie"`
	}
	if err := r.params.done(); err != nil {
		return err
	}
	if err := r.readJSON(&in, `{"user":"ann","password":"..."}`); err != nil {
		return err
	}
	if in.User == "" || in.Password == "" {
		return api.Refuse(api.CodeBadJSON, `fields "user" and "password" are required`)
	}
	if in.Cookie && !r.secure() {
		return api.Refuse(api.CodeBadRequest, "a session in a cookie requires https: over http leave out cookie and keep the token")
	}
	r.findCaller()
	r.actor = in.User[:min(len(in.User), auth.MaxName)]
	limits := r.s.logins
	if err := limits.admit(borrow(r.caller), in.User); err != nil {
		return err
	}
	old := r.earlier()
	secret, who, err := r.s.opts.Accounts.Login(r.deadline(), in.User, in.Password)
	limits.done(borrow(r.caller), in.User, err)
	if err != nil {
		return err
	}
	if old != nil && old.Kind() == auth.Session {
		// It ends with the login in any case; that it is ended now is best effort.
		_ = r.s.opts.Accounts.Logout(r.deadline(), r.s.door.As(old).By(), false)
	}
	return r.showSession(secret, who, in.Cookie)
}

// earlier returns the caller of the session that a login came with, nil if there is none.
func (r *request) earlier() *auth.Caller {
	who, err := r.identity(r.s.door.Table())
	if err != nil {
		return nil
	}
	return who
}

// showSession answers with a new session.
func (r *request) showSession(secret string, who *auth.Caller, cookie bool) error {
	if who == nil {
		return auth.ErrMoved // it was revoked already
	}
	out := sessionAnswer{Token: secret, Expires: who.Expires(), User: who.Look().Name}
	if cookie {
		r.setCookie(secret, who.Expires())
		out.Token = ""
	}
	return r.answerJSON(200, &out)
}

// renew answers POST of a new session in the place of the caller's.
func (r *request) renew() error {
	if err := r.params.done(); err != nil {
		return err
	}
	secret, who, err := r.s.opts.Accounts.Renew(r.deadline(), r.by())
	if err != nil {
		return err
	}
	return r.showSession(secret, who, r.head.has(fieldCookie) && !r.head.has(fieldAuthorization))
}

// logout answers POST of the end of the caller's session, or of all of its user.
func (r *request) logout() error {
	var in struct {
		All bool `json:"all"`
	}
	if err := r.params.done(); err != nil {
		return err
	}
	if len(r.body()) > 0 {
		if err := r.readJSON(&in, `{"all":true}`); err != nil {
			return err
		}
	}
	if err := r.s.opts.Accounts.Logout(r.deadline(), r.by(), in.All); err != nil {
		return err
	}
	if r.head.has(fieldCookie) {
		r.setCookie("", 0)
	}
	r.f.Response.SetStatusCode(204)
	return nil
}

// password answers PUT of a new password of the caller's own.
func (r *request) password() error {
	var in struct {
		Old string `json:"old"`
		New string `json:"new"`
	}
	if err := r.params.done(); err != nil {
		return err
	}
	if err := r.readJSON(&in, `{"old":"...","new":"..."}`); err != nil {
		return err
	}
	if in.Old == "" || in.New == "" {
		return api.Refuse(api.CodeBadJSON, `fields "old" and "new" are required`)
	}
	r.findCaller()
	name := r.who.Look().Name
	if err := r.s.logins.admit(borrow(r.caller), name); err != nil {
		return err
	}
	err := r.s.opts.Accounts.SetPassword(r.deadline(), r.by(), in.Old, in.New)
	if errors.Is(err, auth.ErrWrongPassword) {
		r.s.logins.done(borrow(r.caller), name, err)
	}
	if err != nil {
		return err
	}
	r.f.Response.SetStatusCode(204)
	return nil
}
