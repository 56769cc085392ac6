package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	kw "keywatch/client"
)

// loginCmd stores a credential.
type loginCmd struct {
	User        string `help:"Name of the user; the password is asked for, or read from standard input." placeholder:"NAME"`
	KeyFile     string `help:"File with an API key to store, instead of a login by password." placeholder:"FILE"`
	Fingerprint string `help:"Fingerprint of the server's key, as keywatch serve --tls-self-signed prints it. It is stored, and only a server with that key is accepted at this address from now on." placeholder:"sha256:HEX"`
}

// Help is printed by keywatch auth login --help.
func (*loginCmd) Help() string {
	return `
Stores the session, or the API key, for this --server in credentials.json in the folder
for the configuration of programs, readable by its owner only. A session ends after
the server's --session-ttl.

With --fingerprint the server is recognized by its key from now on, for a certificate that no
authority has signed. Logout does not forget it. Given alone nothing else is stored.

Examples:

    keywatch auth login --user ann
    keywatch --server=https://kv:7070 auth login --user ann --fingerprint=sha256:9f86d081...
    keywatch auth login --key-file keywatch-data/first-admin.key
`
}

// Run logs in.
func (c *loginCmd) Run(s *session) error {
	if c.User != "" && c.KeyFile != "" || c.User == "" && c.KeyFile == "" && c.Fingerprint == "" {
		return usagef("expected one of --user and --key-file")
	}
	if err := c.pin(s); err != nil {
		return err
	}
	switch {
	case c.KeyFile != "":
		return c.storeKey(s)
	case c.User == "":
		return s.authDone("pinned", originOf(s.client.base), nil)
	}
	password, err := s.askPassword("Password")
	if err != nil {
		return err
	}
	var got struct {
		Token, User string
		Expires     int64 `json:"expires_ms"`
	}
	if _, err := s.authDo(http.MethodPost, "/v1/auth/login", nil, map[string]string{"user": c.User, "password": password}, &got); err != nil {
		return err
	}
	if err := storeToken(s.client.base, got.Token); err != nil {
		return err
	}
	return s.loggedIn(got.User, got.Expires)
}

// pin has the session's client accept only the server with the fingerprint, and stores that once the
// server has answered.
func (c *loginCmd) pin(s *session) error {
	switch {
	case c.Fingerprint == "":
		return nil
	case s.cli.CA != "":
		return usagef("--fingerprint and --ca exclude each other")
	case s.client.base.Scheme != "https" || strings.Contains(s.cli.Server, ","):
		return usagef("--fingerprint: --server must be one https address, got %s", s.cli.Server)
	}
	config, err := s.cli.config(c.Fingerprint)
	if err != nil {
		return usagef("--fingerprint: %v", err)
	}
	pinned, err := newClient(s.cli.Server, s.cli.Timeout, clientProof{tls: config})
	if err != nil {
		return err
	}
	s.kw.Close()
	s.client, s.kw = pinned, pinned.kw
	resp, err := s.kw.Open(s.ctx, &kw.Request{Path: "/healthz"})
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	return changeLogin(pinned.base, func(l *storedLogin) { l.Fingerprint = c.Fingerprint })
}

// storeKey stores an API key, once the server has accepted it.
func (c *loginCmd) storeKey(s *session) error {
	key, err := readToken(c.KeyFile)
	if err != nil {
		return err
	}
	stored, err := loginFor(s.client.base)
	if err != nil {
		return err
	}
	config, err := s.cli.config(stored.Fingerprint)
	if err != nil {
		return err
	}
	other, err := newClient(s.cli.Server, s.cli.Timeout, clientProof{token: key, overHTTP: s.cli.TokenOverHTTP, tls: config})
	if err != nil {
		return err
	}
	defer other.kw.Close()
	answer, err := other.kw.Do(s.ctx, &kw.Request{Path: "/v1/auth/whoami"})
	if err != nil {
		return err
	}
	var got struct {
		User    string
		Expires int64 `json:"expires_ms"`
	}
	if err := decode(answer.Body, &got); err != nil {
		return err
	}
	if err := storeToken(s.client.base, key); err != nil {
		return err
	}
	return s.loggedIn(got.User, got.Expires)
}

// loggedIn says as whom, and for how long.
func (s *session) loggedIn(user string, expires int64) error {
	if s.json() {
		return s.printValue(map[string]any{"user": user, "expires_ms": expires})
	}
	return s.printf("logged in as %s%s\n", user, until(expires))
}

// until says when a credential ends, nothing if it never does.
func until(expires int64) string {
	if expires == 0 {
		return ""
	}
	return " until " + time.UnixMilli(expires).Format(time.RFC3339)
}

// logoutCmd ends a session.
type logoutCmd struct {
	All bool `help:"End all sessions of the user."`
}

// Run ends the session and forgets it. An API key is only forgotten.
func (c *logoutCmd) Run(s *session) error {
	_, err := s.authDo(http.MethodPost, "/v1/auth/logout", nil, map[string]bool{"all": c.All}, nil)
	if stored := storeToken(s.client.base, ""); stored != nil {
		return stored
	}
	if refused, ok := errors.AsType[*kw.Error](err); ok && (refused.Code == "bad_request" || refused.Code == "unauthenticated") {
		err = nil // it was a key, or had ended
	}
	return s.authDone("logged out of", originOf(s.client.base), err)
}

// whoamiCmd tells who one is.
type whoamiCmd struct {
	Can string `help:"Exit with 0 if this grant is allowed, such as write:config/app, else with 7." placeholder:"GRANT"`
}

// Help is printed by keywatch auth whoami --help.
func (*whoamiCmd) Help() string {
	return `
Examples:

    keywatch auth whoami
    keywatch auth whoami --can write:config/app && keywatch put config/app on
`
}

// Run prints what the server says.
func (c *whoamiCmd) Run(s *session) error {
	if c.Can != "" {
		return c.can(s)
	}
	var me struct {
		User, Kind, Credential string
		Roles                  []string
		Grants, Bound          []json.RawMessage
		Expires                int64 `json:"expires_ms"`
	}
	raw, err := s.authDo(http.MethodGet, "/v1/auth/whoami", nil, nil, &me)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(raw)
	}
	name := me.User
	if name == "" {
		name = me.Kind
	}
	if err := s.printf("%s, by %s %s%s\nroles: %s\n", name, me.Kind, me.Credential, until(me.Expires), strings.Join(me.Roles, " ")); err != nil {
		return err
	}
	for _, g := range me.Grants {
		if err := s.printf("%s\n", grantText(g)); err != nil {
			return err
		}
	}
	for _, g := range me.Bound {
		if err := s.printf("bound by %s\n", grantText(g)); err != nil {
			return err
		}
	}
	return nil
}

func (c *whoamiCmd) can(s *session) error {
	var got struct{ Can bool }
	if _, err := s.authDo(http.MethodGet, "/v1/auth/whoami", url.Values{"can": {c.Can}}, nil, &got); err != nil {
		return err
	}
	if !got.Can {
		return &hinted{errNotPermitted, "keywatch auth whoami prints what is"}
	}
	if s.json() {
		return s.printValue(got)
	}
	return s.printf("yes\n")
}

// grantText shows a grant as it is written, or as JSON.
func grantText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}
