package web

import (
	"bytes"
	"strconv"
	"time"

	"keywatch/auth"
	"keywatch/web/api"
)

// cookieName is that of the cookie with a session. With its prefix browsers take it only over TLS,
// from this host, and for all of it.
const cookieName = "__Host-keywatch"

var (
	nameSetCookie    = []byte("Set-Cookie")
	valueHTTPS       = []byte("https")
	valueSameOrigin  = []byte("same-origin")
	cookieAttributes = "; Path=/; Secure; HttpOnly; SameSite=Strict"
)

// secure reports whether the client speaks TLS: to this server, or to a trusted proxy that says so.
func (r *request) secure() bool {
	return r.overTLS() || bytes.Equal(r.head.get(fieldForwardedProto), valueHTTPS) && r.s.trusts(r.peer())
}

// setCookie has the browser keep a session until it expires, in milliseconds of wall time; an empty
// one is forgotten.
func (r *request) setCookie(secret string, expires int64) {
	age := int64(0)
	if secret != "" {
		age = max(1, (expires-time.Now().UnixMilli())/1000)
	}
	line := cookieName + "=" + secret + cookieAttributes + "; Max-Age=" + strconv.FormatInt(age, 10)
	r.f.Response.Header.SetBytesKV(nameSetCookie, []byte(line))
}

// session returns the session in the request's cookie, nil if there is none that counts. A cookie
// counts only over TLS and for pages of this server: a browser sends it along with what pages of
// other sites ask for.
func (r *request) session() (secret []byte, err error) {
	if !r.head.has(fieldCookie) || !r.secure() || !r.ownPage() {
		return nil, nil
	}
	return cookie(r.head.get(fieldCookie))
}

// byCookie returns the caller of the session in a cookie. Only a login sets one, so that nothing else is
// accepted there.
func byCookie(table *auth.Table, secret []byte) (*auth.Caller, error) {
	if _, err := auth.CheckSecret(string(secret)); err != nil {
		return nil, &auth.FailedError{Reason: auth.Malformed}
	}
	return table.Authenticate(secret)
}

// ownPage reports whether the request is of a page of this server.
func (r *request) ownPage() bool {
	if r.head.has(fieldFetchSite) {
		return bytes.Equal(r.head.get(fieldFetchSite), valueSameOrigin)
	}
	own, ok := bytes.CutPrefix(r.head.get(fieldOrigin), []byte("https://"))
	return ok && bytes.EqualFold(own, r.f.Request.Header.Host())
}

// cookie returns the value of the cookie with a session in a Cookie header, nil if it is not there.
func cookie(header []byte) (secret []byte, err error) {
	for pair := range bytes.SplitSeq(bytes.ReplaceAll(header, []byte{','}, []byte{';'}), []byte{';'}) {
		name, value, ok := bytes.Cut(bytes.Trim(pair, " \t"), []byte{'='})
		if !ok || string(name) != cookieName {
			continue
		}
		if secret != nil {
			return nil, api.Refuse(api.CodeBadRequest, "cookie %s is repeated", cookieName)
		}
		if len(value) == 0 || len(value) > auth.SecretSize {
			return nil, &auth.FailedError{Reason: auth.Malformed}
		}
		secret = value
	}
	return secret, nil
}
