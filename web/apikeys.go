package web

import (
	"encoding/hex"
	"encoding/json"
	"strings"

	"keywatch/auth"
	"keywatch/web/api"
)

// credentials answers the requests about API keys and sessions.
func (r *request) credentials() error {
	kind := auth.Key
	if r.route == routeSessions || r.route == routeSession {
		kind = auth.Session
	}
	switch {
	case r.route == routeAPIKeys && r.method == methodPost:
		return r.addAPIKey()
	case r.route == routeAPIKeys || r.route == routeSessions:
		return r.listCredentials(kind)
	}
	if err := r.params.done(); err != nil {
		return err
	}
	id, ok := auth.ParseCredID(r.key)
	if !ok {
		return auth.ErrNotFound
	}
	if r.method == methodDelete {
		if err := r.s.opts.Accounts.Revoke(r.deadline(), r.by(), kind, id); err != nil {
			return err
		}
		r.f.Response.SetStatusCode(204)
		return nil
	}
	cred, ok := r.s.opts.Accounts.Cred(id)
	if !ok || cred.Kind != kind.String() || !r.manages(cred.User) && r.who.ID() != id {
		return auth.ErrNotFound
	}
	return r.answerJSON(200, &cred)
}

// manages reports whether the caller may see the credentials of a user: an administrator may see
// all, a session those of its own user.
func (r *request) manages(user string) bool {
	s := r.who.Look()
	return s.Can(auth.Admin) || r.who.Kind() == auth.Session && s.Name == user
}

// listCredentials answers GET of the API keys, or of the sessions.
func (r *request) listCredentials(kind auth.Kind) error {
	user, given, err := r.params.take("user")
	if err != nil {
		return err
	}
	p, err := r.pageParams()
	if err == nil {
		err = r.params.done()
	}
	if err != nil {
		return err
	}
	if !given && !r.who.Look().Can(auth.Admin) {
		user = r.who.Look().Name
	}
	if user = strings.ToLower(user); !r.manages(user) {
		return &auth.DeniedError{Need: auth.Admin.String(), Index: -1}
	}
	list, more := r.s.opts.Accounts.Creds(kind, user, p.after, p.limit)
	if list == nil {
		list = []auth.Cred{}
	}
	out := map[string]any{kind.String() + "s": list}
	if more {
		out["next"] = list[len(list)-1].ID
	}
	return r.answerJSON(200, out)
}

// A keyAnswer is a new API key, whose secret is shown this once.
type keyAnswer struct {
	auth.Cred
	Secret string `json:"key,omitempty"`
}

// addAPIKey answers POST of an API key.
func (r *request) addAPIKey() error {
	var in struct {
		User     string          `json:"user"`
		Label    string          `json:"label"`
		Grants   *[]auth.Grant   `json:"grants"`
		TTL      string          `json:"ttl"`
		Metadata json.RawMessage `json:"metadata"`
		Hash     string          `json:"hash"`
	}
	if err := r.params.done(); err != nil {
		return err
	}
	if err := r.readJSON(&in, `{"user":"ann","ttl":"720h"}`); err != nil {
		return err
	}
	if in.User == "" || in.TTL == "" {
		return api.Refuse(api.CodeBadJSON, `fields "user" and "ttl" are required; ttl may be none`)
	}
	spec := auth.KeySpec{User: in.User, Label: in.Label, Metadata: in.Metadata}
	var err error
	if spec.TTL, err = lifetime(in.TTL, true); err != nil {
		return err
	}
	if in.Grants != nil {
		spec.Grants, spec.Bound = *in.Grants, true
	}
	if in.Hash != "" {
		b, err := hex.DecodeString(in.Hash)
		if err != nil || len(b) != len(auth.Hash{}) {
			return api.Refuse(api.CodeBadJSON, `field "hash" must be the SHA-256 of the key's text, in 64 hexadecimal digits`)
		}
		spec.Hash = (*auth.Hash)(b)
	}
	secret, cred, err := r.s.opts.Accounts.AddKey(r.deadline(), r.by(), spec)
	if err != nil {
		return err
	}
	r.subject = cred.ID
	return r.answerJSON(201, &keyAnswer{cred, secret})
}

// rotate answers POST of a new key of the server's own.
func (r *request) rotate() error {
	var in struct {
		What string `json:"what"`
	}
	if err := r.params.done(); err != nil {
		return err
	}
	if err := r.readJSON(&in, `{"what":"data"}`); err != nil {
		return err
	}
	rotate := map[string]auth.Rotation{"tickets": auth.RotateTickets, "data": auth.RotateData, "master": auth.RotateMaster}
	what, ok := rotate[in.What]
	if !ok {
		return api.Refuse(api.CodeBadJSON, `field "what" must be master, data or tickets`)
	}
	r.subject = in.What
	n, err := r.s.opts.Accounts.Rotate(r.deadline(), r.by(), what)
	if err != nil {
		return err
	}
	return r.answerJSON(200, map[string]int{"records": n})
}
