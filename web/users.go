package web

import (
	"encoding/json"

	"keywatch/auth"
	"keywatch/web/api"
)

// A userBody is what a request says of a user. In a change, what it does not name stays as it is.
type userBody struct {
	Name     *string          `json:"name"`
	Roles    *[]string        `json:"roles"`
	Certs    *[]string        `json:"certificates"`
	Disabled *bool            `json:"disabled"`
	Metadata *json.RawMessage `json:"metadata"`
	Password *string          `json:"password"`
	Hash     *string          `json:"password_hash"`
}

func (b *userBody) spec() auth.UserSpec {
	return auth.UserSpec{Roles: b.Roles, Certs: b.Certs, Disabled: b.Disabled, Metadata: b.Metadata, Password: b.Password, Hash: b.Hash}
}

const userExample = `{"name":"ann","roles":["editor"],"password":"..."}`

// users answers the requests about users.
func (r *request) users() error {
	if r.route == routeUsers && r.method != methodPost {
		return r.listUsers()
	}
	if err := r.params.done(); err != nil {
		return err
	}
	switch {
	case r.route == routeUsers:
		return r.addUser()
	case r.method == methodPut:
		return r.setUser()
	case r.method == methodDelete:
		want, err := r.expectation()
		if err != nil {
			return err
		}
		if err := r.s.opts.Accounts.DeleteUser(r.deadline(), r.by(), r.key, want); err != nil {
			return err
		}
		r.f.Response.SetStatusCode(204)
		return nil
	}
	user, ok := r.s.opts.Accounts.User(r.key)
	if !ok {
		return auth.ErrNotFound
	}
	return r.showUser(200, &user)
}

func (r *request) showUser(status int, user *auth.User) error {
	r.tag(user.Rev)
	return r.answerJSON(status, user)
}

func (r *request) listUsers() error {
	p, err := r.pageParams()
	if err == nil {
		err = r.params.done()
	}
	if err != nil {
		return err
	}
	var out struct {
		Users []auth.User `json:"users"`
		Next  string      `json:"next,omitempty"`
	}
	var more bool
	if out.Users, more = r.s.opts.Accounts.Users(p.after, p.limit); more {
		out.Next = out.Users[len(out.Users)-1].Name
	}
	if out.Users == nil {
		out.Users = []auth.User{}
	}
	return r.answerJSON(200, &out)
}

func (r *request) addUser() error {
	var in userBody
	if err := r.readJSON(&in, userExample); err != nil {
		return err
	}
	if in.Name == nil {
		return api.Refuse(api.CodeBadJSON, `field "name" is required`)
	}
	r.subject = (*in.Name)[:min(len(*in.Name), auth.MaxName)]
	user, err := r.s.opts.Accounts.AddUser(r.deadline(), r.by(), *in.Name, in.spec())
	if err != nil {
		return err
	}
	return r.showUser(201, &user)
}

func (r *request) setUser() error {
	want, err := r.expectation()
	if err != nil {
		return err
	}
	var in userBody
	if err := r.readJSON(&in, `{"roles":["editor"]}`); err != nil {
		return err
	}
	if in.Name != nil {
		return api.Refuse(api.CodeBadJSON, `field "name" is not supported here: a user cannot be renamed`)
	}
	user, err := r.s.opts.Accounts.SetUser(r.deadline(), r.by(), r.key, in.spec(), want)
	if err != nil {
		return err
	}
	return r.showUser(200, &user)
}
