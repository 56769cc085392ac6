package main

import (
	"encoding/json"
	"net/http"
	"strings"
)

// roleCmd has the commands about roles.
type roleCmd struct {
	List   roleListCmd   `cmd:"" help:"List all roles and their grants." aliases:"ls"`
	Show   roleShowCmd   `cmd:"" help:"Print the grants of a role."`
	Set    roleSetCmd    `cmd:"" help:"Give a role these grants, instead of those that it has."`
	Delete roleDeleteCmd `cmd:"" help:"Delete a role." aliases:"del,rm"`
}

// A shownRole is a role as the server shows it.
type shownRole struct {
	Name   string
	Grants []json.RawMessage
}

func (r shownRole) texts() (out []string) {
	for _, g := range r.Grants {
		out = append(out, grantText(g))
	}
	return out
}

// roleListCmd lists.
type roleListCmd struct{}

// Run prints a line for each role.
func (*roleListCmd) Run(s *session) error {
	return authList(s, "/v1/auth/roles", "roles", "NAME\tGRANTS", nil, func(r shownRole) string {
		return r.Name + "\t" + strings.Join(r.texts(), " ")
	})
}

// roleShowCmd shows.
type roleShowCmd struct {
	Name string `arg:"" help:"Name of the role."`
}

// Run prints a grant a line.
func (c *roleShowCmd) Run(s *session) error {
	var role shownRole
	raw, err := s.authDo(http.MethodGet, authPath("roles", c.Name), nil, nil, &role)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(raw)
	}
	for _, text := range role.texts() {
		if err := s.printf("%s\n", text); err != nil {
			return err
		}
	}
	return nil
}

// roleSetCmd sets.
type roleSetCmd struct {
	Name   string   `arg:"" help:"Name of the role. That of callers without a credential is anonymous."`
	Grants []string `arg:"" optional:"" name:"grant" help:"Grant, such as read,watch:sensors/ or lease; none allows nothing."`
}

// Help is printed by keywatch auth role set --help.
func (*roleSetCmd) Help() string {
	return `
A grant is verbs with commas between, a colon and a target. The verbs read, watch, write and
lock have a target: a key; all keys below a tree, with / at the end; or all that begin
so, with * at the end. lease, metrics, operate, backup, cluster and admin have none. {user}
in a target is the name of the user.

Examples:

    keywatch auth role set viewer read,watch:sensors/
    keywatch auth role set editor read,watch,write:config/ lock:deploy lease
    keywatch auth role set member read,watch,write:home/{user}/
    keywatch auth role set anonymous read:public/
`
}

// Run sets the grants.
func (c *roleSetCmd) Run(s *session) error {
	grants := make([]any, 0, len(c.Grants))
	for _, text := range c.Grants {
		if strings.HasPrefix(text, "{") {
			grants = append(grants, json.RawMessage(text))
			if !json.Valid([]byte(text)) {
				return usagef("%q is not JSON", text)
			}
			continue
		}
		grants = append(grants, text)
	}
	_, err := s.authDo(http.MethodPut, authPath("roles", c.Name), nil, map[string]any{"grants": grants}, nil)
	return s.authDone("set", c.Name, err)
}

// roleDeleteCmd deletes.
type roleDeleteCmd struct {
	Name string `arg:"" help:"Name of the role."`
}

// Run deletes the role.
func (c *roleDeleteCmd) Run(s *session) error {
	_, err := s.authDo(http.MethodDelete, authPath("roles", c.Name), nil, nil, nil)
	return s.authDone("deleted", c.Name, err)
}
