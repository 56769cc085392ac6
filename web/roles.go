package web

import (
	"keywatch/auth"
	"keywatch/web/api"
)

// roles answers the requests about roles.
func (r *request) roles() error {
	if err := r.params.done(); err != nil {
		return err
	}
	switch {
	case r.route == routeRoles:
		out := struct {
			Roles []auth.Role `json:"roles"`
		}{r.s.opts.Accounts.Roles()}
		if out.Roles == nil {
			out.Roles = []auth.Role{}
		}
		return r.answerJSON(200, &out)
	case r.method == methodPut:
		return r.putRole()
	case r.method == methodDelete:
		want, err := r.expectation()
		if err != nil {
			return err
		}
		if err := r.s.opts.Accounts.DeleteRole(r.deadline(), r.by(), r.key, want); err != nil {
			return err
		}
		r.f.Response.SetStatusCode(204)
		return nil
	}
	role, ok := r.s.opts.Accounts.Role(r.key)
	if !ok {
		return auth.ErrNotFound
	}
	r.tag(role.Rev)
	return r.answerJSON(200, &role)
}

// putRole answers PUT of a role.
func (r *request) putRole() error {
	want, err := r.expectation()
	if err != nil {
		return err
	}
	var in struct {
		Grants *[]auth.Grant `json:"grants"`
	}
	if err := r.readJSON(&in, `{"grants":["read,watch:sensors/"]}`); err != nil {
		return err
	}
	if in.Grants == nil {
		return api.Refuse(api.CodeBadJSON, `field "grants" is required`)
	}
	rev, made, err := r.s.opts.Accounts.PutRole(r.deadline(), r.by(), r.key, *in.Grants, want)
	if err != nil {
		return err
	}
	status := 200
	if made {
		status = 201
	}
	r.tag(rev)
	name, _ := auth.FoldName(r.key)
	return r.answerJSON(status, &auth.Role{Name: name, Grants: *in.Grants})
}
