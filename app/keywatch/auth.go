package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"

	kw "keywatch/client"
)

// authCmd has the commands about users, roles and credentials.
type authCmd struct {
	Login  loginCmd    `cmd:"" help:"Log in and store the session, or store an API key."`
	Logout logoutCmd   `cmd:"" help:"End the stored session and forget it."`
	Whoami whoamiCmd   `cmd:"" help:"Print who the server takes one for, and what one may do."`
	User   userCmd     `cmd:"" help:"Add, show, change and delete users."`
	Role   roleCmd     `cmd:"" help:"Show, set and delete roles."`
	Key    keyCmd      `cmd:"" help:"Add, find and revoke API keys."`
	Sess   sessionsCmd `cmd:"" name:"session" help:"List and end sessions."`
	Ticket ticketCmd   `cmd:"" help:"Print a ticket, with which a page may watch without another credential."`
	Rotate rotateCmd   `cmd:"" help:"Make a new key that seals records or signs tickets."`
	Init   authInitCmd `cmd:"" help:"Make the first administrator in the data folder of a stopped server."`
}

// Help is printed by keywatch auth --help.
func (*authCmd) Help() string {
	return `
A server that was started with --auth=on asks every caller for a credential. A role has
grants, such as read,watch:sensors/; a user has roles; an API key belongs to a user.
A target that ends in / is all keys below it, one that ends in * all keys that begin so.

Commands take the credential from --token-file, $KEYWATCH_TOKEN, or what login stored.

Examples:

    keywatch serve --auth=on
    keywatch auth login --key-file keywatch-data/first-admin.key
    keywatch auth role set viewer read,watch:sensors/
    keywatch auth user add ann --role viewer
    keywatch auth key add --user ann --ttl 720h
`
}

// authPath returns the path of one user, role or credential.
func authPath(kind, name string) string { return "/v1/auth/" + kind + "/" + url.PathEscape(name) }

// authDo sends a request that may be repeated, and decodes the answer into v unless that is nil.
func (s *session) authDo(method, path string, query url.Values, body, v any) ([]byte, error) {
	r := &kw.Request{Method: method, Path: path, Query: query, Repeatable: true}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r.Body, r.Header = b, http.Header{"Content-Type": {"application/json"}}
	}
	got, err := s.kw.Do(s.ctx, r)
	if err != nil || v == nil {
		return nil, err
	}
	return got.Body, decode(got.Body, v)
}

// authDone prints that something was done.
func (s *session) authDone(what, name string, err error) error {
	if err != nil {
		return err
	}
	if s.json() {
		return s.printValue(map[string]string{what: name})
	}
	return s.printf("%s %s\n", what, name)
}

// authList prints all pages of a list: its lines, or with -o json its elements, one a line.
func authList[T any](s *session, path, field, head string, query url.Values, line func(T) string) error {
	if query == nil {
		query = url.Values{}
	}
	table := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	if !s.json() {
		fmt.Fprintln(table, head)
	}
	for {
		var page map[string]json.RawMessage
		if _, err := s.authDo(http.MethodGet, path, query, nil, &page); err != nil {
			return err
		}
		var list []json.RawMessage
		if err := decode(page[field], &list); err != nil {
			return err
		}
		for _, raw := range list {
			if s.json() {
				if err := s.printJSON(raw); err != nil {
					return err
				}
				continue
			}
			var one T
			if err := decode(raw, &one); err != nil {
				return err
			}
			fmt.Fprintln(table, line(one))
		}
		var next string
		if raw := page["next"]; raw == nil || decode(raw, &next) != nil || next == "" {
			return table.Flush()
		}
		query.Set("after", next)
	}
}
