package web

import (
	"keywatch/auth"
	"keywatch/web/api"
)

// A whoamiAnswer is what a caller is told of itself.
type whoamiAnswer struct {
	User       string       `json:"user,omitempty"`
	ID         string       `json:"id,omitempty"`
	Credential string       `json:"credential,omitempty"`
	Kind       string       `json:"kind"`
	Roles      []string     `json:"roles"`
	Grants     []auth.Grant `json:"grants"`
	// Bound are the credential's own grants: what counts is what both allow.
	Bound   []auth.Grant `json:"bound,omitempty"`
	Expires int64        `json:"expires_ms,omitempty"`
}

// whoami answers GET of who the caller is, or of whether it may do something.
func (r *request) whoami() error {
	can, asks, err := r.params.take("can")
	if err != nil {
		return err
	}
	if err := r.params.done(); err != nil {
		return err
	}
	s := r.who.Look()
	if r.who.Kind() == auth.Anonymous && s.Empty() {
		return &auth.FailedError{Reason: auth.Missing}
	}
	if asks {
		want, err := auth.ParseGrant(can)
		if err != nil {
			return api.Refuse(api.CodeBadParameter, "can: %v", err)
		}
		return r.answerJSON(200, map[string]bool{"can": s.Allows(want)})
	}
	out := whoamiAnswer{
		User: s.Name, ID: r.who.User(), Kind: r.who.Kind().String(), Roles: s.Roles(), Grants: s.List(), Bound: s.Bound(), Expires: r.who.Expires(),
	}
	if id := r.who.ID(); id != (auth.CredID{}) {
		out.Credential = id.String()
	}
	if out.Grants == nil {
		out.Grants = []auth.Grant{}
	}
	return r.answerJSON(200, &out)
}
