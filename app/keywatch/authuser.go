package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// userCmd has the commands about users.
type userCmd struct {
	Add      userAddCmd      `cmd:"" help:"Add a user."`
	List     userListCmd     `cmd:"" help:"List all users." aliases:"ls"`
	Show     userShowCmd     `cmd:"" help:"Print what the server says of a user."`
	Set      userSetCmd      `cmd:"" help:"Change the roles or metadata of a user; disable or enable it."`
	Password userPasswordCmd `cmd:"" help:"Change a password: one's own, or that of a user."`
	Delete   userDeleteCmd   `cmd:"" help:"Delete a user with all its keys and sessions." aliases:"del,rm"`
}

// userFlags are what add and set may say of a user.
type userFlags struct {
	Role []string `help:"Name of a role; may be repeated. With set these take the place of those that it has." placeholder:"ROLE"`
	// Certificate is none, or names.
	Certificate []string `help:"Name in client certificates that are a credential of the user: uri:, dns:, email: or cn: and the name, such as uri:spiffe://prod/ci; may be repeated. With set these take the place of those that it has; none is for no name." placeholder:"NAME"`
	Metadata    string   `help:"JSON of up to 8 KiB, which is stored sealed." placeholder:"JSON"`
}

// body returns what the server is told.
func (f *userFlags) body() (map[string]any, error) {
	body := map[string]any{}
	if f.Role != nil {
		body["roles"] = f.Role
	}
	switch {
	case slices.Equal(f.Certificate, []string{"none"}):
		body["certificates"] = []string{}
	case f.Certificate != nil:
		body["certificates"] = f.Certificate
	}
	if f.Metadata != "" {
		if !json.Valid([]byte(f.Metadata)) {
			return nil, usagef("--metadata is not JSON")
		}
		body["metadata"] = json.RawMessage(f.Metadata)
	}
	return body, nil
}

// A shownUser is a user as the server shows it.
type shownUser struct {
	Name, ID string
	Roles    []string
	Disabled bool
	Password bool
}

func (u shownUser) line() string {
	state := "enabled"
	if u.Disabled {
		state = "disabled"
	}
	if !u.Password {
		state += ", no password"
	}
	return u.Name + "\t" + strings.Join(u.Roles, " ") + "\t" + state + "\t" + u.ID
}

// userAddCmd adds.
type userAddCmd struct {
	Name string `arg:"" help:"Name of the user: lower case letters, digits, dot, dash, underscore and @."`
	userFlags
	Password bool `help:"Give it a password, which is asked for, or read from standard input."`
}

// Help is printed by keywatch auth user add --help.
func (*userAddCmd) Help() string {
	return `
A user without a password can have API keys, but cannot log in.

Examples:

    keywatch auth user add ann --role editor --password
    keywatch auth user add ci --role deployer --certificate uri:spiffe://prod/ci
    keywatch auth user add ci --role deployer --metadata '{"owner":"build team"}'
`
}

// Run adds the user.
func (c *userAddCmd) Run(s *session) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	body["name"] = c.Name
	if c.Password {
		if body["password"], err = s.askPassword("Password for " + c.Name); err != nil {
			return err
		}
	}
	_, err = s.authDo(http.MethodPost, "/v1/auth/users", nil, body, nil)
	return s.authDone("added", c.Name, err)
}

// userListCmd lists.
type userListCmd struct{}

// Run prints a line for each user.
func (*userListCmd) Run(s *session) error {
	return authList(s, "/v1/auth/users", "users", "NAME\tROLES\tSTATE\tID", nil, shownUser.line)
}

// userShowCmd shows.
type userShowCmd struct {
	Name string `arg:"" help:"Name of the user."`
}

// Run prints the answer.
func (c *userShowCmd) Run(s *session) error {
	var user json.RawMessage
	if _, err := s.authDo(http.MethodGet, authPath("users", c.Name), nil, nil, &user); err != nil {
		return err
	}
	return s.printJSON(user)
}

// userSetCmd changes.
type userSetCmd struct {
	Name string `arg:"" help:"Name of the user."`
	userFlags
	Disable bool `help:"Accept none of its credentials until it is enabled." xor:"enabled"`
	Enable  bool `help:"Accept them again." xor:"enabled"`
}

// Run changes the user.
func (c *userSetCmd) Run(s *session) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	if c.Disable || c.Enable {
		body["disabled"] = c.Disable
	}
	if len(body) == 0 {
		return usagef("nothing to change: see keywatch auth user set --help")
	}
	_, err = s.authDo(http.MethodPut, authPath("users", c.Name), nil, body, nil)
	return s.authDone("changed", c.Name, err)
}

// userPasswordCmd changes a password.
type userPasswordCmd struct {
	Name string `arg:"" optional:"" help:"Name of the user, for administrators; without it one's own."`
}

// Help is printed by keywatch auth user password --help.
func (*userPasswordCmd) Help() string {
	return `
Ends the user's other sessions. From standard input the old and the new password are read
as two lines, with a name only the new one.

Examples:

    keywatch auth user password
    keywatch auth user password ann
`
}

// Run changes the password.
func (c *userPasswordCmd) Run(s *session) error {
	if c.Name != "" {
		next, err := s.askPassword("New password for " + c.Name)
		if err != nil {
			return err
		}
		_, err = s.authDo(http.MethodPut, authPath("users", c.Name), nil, map[string]string{"password": next}, nil)
		return s.authDone("changed", c.Name, err)
	}
	lines, err := s.askPasswords("Old password", "New password")
	if err != nil {
		return err
	}
	_, err = s.authDo(http.MethodPut, "/v1/auth/password", nil, map[string]string{"old": lines[0], "new": lines[1]}, nil)
	return s.authDone("changed", "password", err)
}

// userDeleteCmd deletes.
type userDeleteCmd struct {
	Name string `arg:"" help:"Name of the user."`
}

// Run deletes the user.
func (c *userDeleteCmd) Run(s *session) error {
	_, err := s.authDo(http.MethodDelete, authPath("users", c.Name), nil, nil, nil)
	return s.authDone("deleted", c.Name, err)
}
